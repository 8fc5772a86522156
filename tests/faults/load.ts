import { readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import pg from "pg";
import type { Profile } from "@sallyport/cli/home";
import { marker } from "./target.ts";
import { pause, until } from "./until.ts";

/** What became of one statement, as its client saw it. */
export interface Sent {
  readonly id: string;
  readonly writes: boolean;
  outcome: "ok" | "refused" | "unknown";
  /** SQLSTATE, or what the socket said */
  code: string;
  message: string;
}

/** How a client was told that its session is over, or that it gets none. */
export interface Told {
  readonly when: "login" | "statement" | "idle";
  readonly code: string;
  readonly message: string;
}

export interface LoadOptions {
  readonly port: number;
  readonly ca: string;
  readonly profile: Profile;
  readonly clients: number;
}

/** Where the load writes: one row per statement that ran. */
export const LOAD_TABLE = "fault_load";

/**
 * Clients that never give up: each sends one marked statement after the other (an insert, a masked read, a prepared
 * read), logs in again when its session has ended, and remembers what it was told.
 */
export class Load {
  readonly sent = new Map<string, Sent>();
  readonly told: Told[] = [];
  logins = 0;
  readonly #options: LoadOptions;
  readonly #ca: string;
  readonly #workers: Promise<void>[];
  #stopped = false;
  #resting = false;
  #busy = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#ca = readFileSync(options.ca, "utf8");
    this.#workers = Array.from({ length: options.clients }, (_, number) => this.#work(number));
  }

  /** No statement is under way when this resolves, and none is sent until `goOn`. */
  async rest(): Promise<void> {
    this.#resting = true;
    await until("the load rests", () => (this.#busy === 0 ? true : undefined), 60_000);
  }

  goOn(): void {
    this.#resting = false;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }

  get completed(): number {
    let count = 0;
    for (const { outcome } of this.sent.values()) if (outcome === "ok") count++;
    return count;
  }

  /** Resolves when so many more statements have come back well, and somebody has logged in anew if asked for. */
  async progress(statements: number, newLogin = false): Promise<void> {
    const from = this.completed;
    const logins = this.logins;
    await until(
      `${statements} statements come through${newLogin ? " and a login" : ""}`,
      () => (this.completed >= from + statements && (!newLogin || this.logins > logins) ? true : undefined),
      60_000,
    );
  }

  async #work(number: number): Promise<void> {
    for (let round = 0; !this.#stopped; round++) {
      if (this.#resting) await pause(10);
      else await this.#session(number, round);
    }
  }

  async #session(number: number, round: number): Promise<void> {
    const { port, profile } = this.#options;
    const client = new pg.Client({
      host: "127.0.0.1",
      port,
      user: profile.user,
      password: profile.token,
      database: "sandbox",
      ssl: { ca: this.#ca, servername: "localhost" },
      connectionTimeoutMillis: 30_000,
    });
    let over: Told | undefined;
    client.on("error", (error) => (over ??= { when: "idle", ...saying(error) }));
    this.#busy++;
    try {
      await client.connect();
      this.logins++;
    } catch (error) {
      this.told.push({ when: "login", ...saying(error) });
      return await pause(50);
    } finally {
      this.#busy--;
    }
    // One in three sessions is short, so that logins are part of the load.
    const statements = number % 3 === 0 ? 20 : Infinity;
    for (let i = 0; i < statements && !this.#stopped && over === undefined; i++) {
      if (this.#resting) {
        await pause(10);
        i--;
      } else over ??= await this.#statement(client, `${number}-${round}-${i}`, i % 4);
    }
    if (over !== undefined) this.told.push(over);
    await client.end().catch(() => undefined);
  }

  async #statement(client: pg.Client, label: string, kind: number): Promise<Told | undefined> {
    const id = `${label}-${randomBytes(4).toString("hex")}`;
    const writes = kind < 2;
    const sent: Sent = { id, writes, outcome: "unknown", code: "", message: "" };
    this.sent.set(id, sent);
    this.#busy++;
    try {
      const mark = marker(id);
      if (kind === 0) await client.query(`INSERT INTO ${LOAD_TABLE} (id) VALUES ('${id}') ${mark}`);
      else if (kind === 1) await client.query(`INSERT INTO ${LOAD_TABLE} (id) VALUES ($1) ${mark}`, [id]);
      else if (kind === 2)
        await client.query(`SELECT id, email, card_number FROM customers ORDER BY id LIMIT 3 ${mark}`);
      else await client.query(`SELECT count(*) FROM orders WHERE id > $1 ${mark}`, [0]);
      sent.outcome = "ok";
      return undefined;
    } catch (error) {
      const { code, message } = saying(error);
      sent.code = code;
      sent.message = message;
      if (!(error instanceof pg.DatabaseError)) return { when: "statement", code, message };
      // An error ends a statement; one that is FATAL ends the session, and says nothing of the statement.
      if (error.severity !== "FATAL") sent.outcome = "refused";
      else return { when: "statement", code, message };
      return await pause(20).then(() => undefined);
    } finally {
      this.#busy--;
    }
  }
}

function saying(error: unknown): { code: string; message: string } {
  const { code, message } = error as { code?: string; message: string };
  return { code: code ?? message, message };
}
