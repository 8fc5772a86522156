import { closeSync, openSync, readSync, statSync } from "node:fs";
import pg from "pg";
import { inject } from "vitest";
import { profileOf } from "../harness/clients.ts";
import { until } from "../faults/until.ts";
import { DATABASE, type CorpusGateway } from "./global-gateway.ts";
import { Marks, type Mark } from "./marks.ts";
import { WireClient } from "./wire-client.ts";

export const gateway: CorpusGateway = inject("corpus");

const marks: readonly Mark[] = gateway.marks.map(({ binary, ...mark }) => ({
  ...mark,
  ...(binary === undefined ? {} : { binary: Buffer.from(binary, "base64") }),
}));

/** What the catalog's `reveal` permits: everything else is hidden from everybody. */
const SEEN: Readonly<Record<string, readonly string[]>> = { dba: ["email", "phone"] };

const cache = new Map<string, Marks>();

export function hiddenFrom(account: string): Marks {
  let found = cache.get(account);
  if (found === undefined) {
    const classes = SEEN[account] ?? [];
    // The addresses in notes are shown to who may see addresses.
    const isSeen = (mark: Mark): boolean => classes.includes(mark.class === "free-text" ? "email" : mark.class);
    found = new Marks(
      marks.filter((mark) => !isSeen(mark)),
      marks.filter(isSeen),
    );
    cache.set(account, found);
  }
  return found;
}

export function login(account: string, connection: string): Promise<WireClient> {
  const { user, token } = profileOf(gateway, account);
  return WireClient.login({ port: gateway.ports.edgePostgres, ca: gateway.ca, user, token, database: connection });
}

/** The target, beside the gateway. */
export class Target {
  readonly #client: pg.Client;
  #log = "";
  #read = 0;
  #sentinels = 0;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  static async open(): Promise<Target> {
    const { host, port, superuser: user, superuserPassword: password } = gateway.superuser;
    const client = new pg.Client({ host, port, user, password, database: DATABASE });
    await client.connect();
    return new Target(client);
  }

  async value(sql: string): Promise<string> {
    const { rows } = await this.#client.query<Record<string, unknown>>(sql);
    return String(Object.values(rows[0] ?? {})[0]);
  }

  /** Has any statement run there with this mark in it? What ran before now is written down by now. */
  async heard(mark: string): Promise<boolean> {
    const sentinel = `sentinel-${++this.#sentinels}-of-${process.pid}`;
    await this.#client.query(`SELECT '${sentinel}'`);
    await until("the target writes its log", () => (this.#take().includes(sentinel) ? true : undefined));
    return this.#log.includes(mark);
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  #take(): string {
    const file = gateway.superuser.statementLog;
    const size = statSync(file).size;
    if (size > this.#read) {
      const bytes = Buffer.alloc(size - this.#read);
      const fd = openSync(file, "r");
      readSync(fd, bytes, 0, bytes.length, this.#read);
      closeSync(fd);
      this.#read = size;
      this.#log = (this.#log + bytes.toString("latin1")).slice(-4_000_000);
    }
    return this.#log;
  }
}
