import { readFileSync } from "node:fs";
import pg from "pg";
import { idsIn, marker, type TargetAddress } from "./target.ts";
import { pause, until } from "./until.ts";

export interface PresserOptions {
  readonly port: number;
  readonly ca: string;
  readonly user: string;
  readonly token: string;
  readonly database: string;
  /** begins the ids of its statements */
  readonly tag: string;
}

const CLIENTS = 3;

/** Somebody who tries, without a pause, to have statements run, and logs in again whenever that ends. */
export class Presser {
  readonly options: PresserOptions;
  ran = 0;
  refused = 0;
  readonly #ca: string;
  readonly #workers: Promise<void>[];
  #stopped = false;
  #sent = 0;

  constructor(options: PresserOptions) {
    this.options = options;
    this.#ca = readFileSync(options.ca, "utf8");
    this.#workers = Array.from({ length: CLIENTS }, () => this.#work());
  }

  /** So many statements more have come back well. */
  async presses(statements: number): Promise<void> {
    const wanted = this.ran + statements;
    await until(`${statements} statements of ${this.options.tag}`, () => (this.ran >= wanted ? true : undefined));
  }

  /** So many times more it has been refused, as a login or as a statement. */
  async isRefused(times: number): Promise<void> {
    const wanted = this.refused + times;
    await until(`${this.options.tag} is refused`, () => (this.refused >= wanted ? true : undefined));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      const { port, user, token: password, database } = this.options;
      const ssl = { ca: this.#ca, servername: "localhost" };
      const connectionTimeoutMillis = 10_000;
      const client = new pg.Client({ host: "127.0.0.1", port, user, password, database, ssl, connectionTimeoutMillis });
      client.on("error", () => undefined);
      try {
        await client.connect();
        while (!this.#stopped) await this.#statement(client);
      } catch {
        this.refused++;
        await pause(20);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  async #statement(client: pg.Client): Promise<void> {
    // Every other one is a text that was decided before: what the edge keeps is pressed, and what it must ask for.
    const id = ++this.#sent % 2 === 0 ? `${this.#sent}` : "again";
    try {
      await client.query(`SELECT count(*) FROM orders ${marker(`${this.options.tag}-${id}`)}`);
      this.ran++;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.severity === "FATAL") throw error;
      this.refused++;
      await pause(5);
    }
  }
}

const LINE = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d\.\d+) UTC .*(?:statement|execute [^:]*): /;

/** When the target was last given a statement of this tag, ms since 1970; 0: never. Its log is in UTC. */
export function lastArrivalAt(target: TargetAddress, tag: string): number {
  let last = 0;
  for (const line of readFileSync(target.statementLog, "utf8").split("\n")) {
    const found = LINE.exec(line);
    if (found === null || ![...idsIn(line)].some((id) => id.startsWith(`${tag}-`))) continue;
    last = Math.max(last, Date.parse(`${found[1]}T${found[2]}Z`));
  }
  return last;
}
