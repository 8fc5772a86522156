import { readFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { once } from "node:events";

/** A PostgreSQL client that keeps every byte that it is sent, and understands as little as it can of them. */

export interface Message {
  readonly type: string;
  readonly body: Buffer;
}

export interface Login {
  readonly port: number;
  readonly ca: string;
  readonly user: string;
  readonly token: string;
  readonly database: string;
}

/** How a turn ended: the server is ready, the command waits for people, or the connection is gone. */
export type TurnEnd = "ready" | "held" | "closed";

export interface Turn {
  readonly messages: readonly Message[];
  readonly end: TurnEnd;
}

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const DEADLINE_MS = 30_000;

export function message(type: string, ...parts: (Buffer | string | number)[]): Buffer {
  const body = Buffer.concat(
    parts.map((part) => (typeof part === "number" ? int16(part) : typeof part === "string" ? text(part) : part)),
  );
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const text = (value: string): Buffer => Buffer.from(`${value}\0`);
function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
/** With its length in front, as parameters are sent (section 54.7, Bind). */
export function sized(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([int32(bytes.length), bytes]);
}

export const query = (sql: string): Buffer => message("Q", sql);

/** Parse, Bind, Describe, Execute of the unnamed statement; without Sync. */
export function extended(sql: string, parameters: readonly string[], format: 0 | 1): Buffer {
  return Buffer.concat([
    message("P", "", sql, 0),
    message("B", "", "", 0, parameters.length, ...parameters.map(sized), 1, format),
    message("D", Buffer.from("P"), ""),
    message("E", "", int32(0)),
  ]);
}

export const sync = message("S");

const contexts = new Map<string, SecureContext>();

export class WireClient {
  /** everything since the password was asked for, but the cancel key */
  readonly said: Message[] = [];
  readonly #socket: TLSSocket;
  #bytes: Buffer = Buffer.alloc(0);
  #closed = false;
  #wake: () => void = () => undefined;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#split();
      this.#wake();
    });
  }

  static async login({ port, ca, user, token, database }: Login): Promise<WireClient> {
    const plain = connectTcp({ host: "127.0.0.1", port, noDelay: true });
    await once(plain, "connect");
    plain.write(SSL_REQUEST);
    await once(plain, "data");
    let secureContext = contexts.get(ca);
    if (secureContext === undefined) contexts.set(ca, (secureContext = createSecureContext({ ca: readFileSync(ca) })));
    const socket = connectTls({ socket: plain, secureContext, servername: "localhost" });
    await once(socket, "secureConnect");
    const client = new WireClient(socket);
    const parameters = Object.entries({ user, database, application_name: "corpus" }).flatMap((pair) => pair.map(text));
    const startup = Buffer.concat([int32(0x0003_0000), ...parameters, Buffer.alloc(1)]);
    socket.write(Buffer.concat([int32(startup.length + 4), startup]));
    await client.#until((one) => one.type === "R" || one.type === "E", 0);
    const { end, messages } = await client.turn(message("p", token));
    const refused = messages.find(({ type }) => type === "E");
    if (end !== "ready" || refused !== undefined)
      throw new Error(`no login: ${refused?.body.toString("latin1") ?? end}`);
    return client;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends, and collects what comes up to ReadyForQuery, the notice that it waits for people, or the end. */
  async turn(...bytes: Buffer[]): Promise<Turn> {
    const from = this.said.length;
    if (!this.#closed) this.#socket.write(Buffer.concat(bytes));
    let held = false;
    let answered = from;
    await this.#until((one, at) => {
      // A COPY FROM STDIN gets nothing.
      if (one.type === "G" && at >= answered) this.#socket.write(message("c"));
      answered = Math.max(answered, at + 1);
      if (isHeld(one)) held = true;
      return one.type === "Z" || held;
    }, from);
    const messages = this.said.slice(from);
    return { messages, end: held ? "held" : messages.at(-1)?.type === "Z" ? "ready" : "closed" };
  }

  /** Sends turns that are known beforehand, all at once; each ends with ReadyForQuery. Fewer: the connection is gone. */
  async pipeline(turns: readonly Buffer[]): Promise<Message[][]> {
    const from = this.said.length;
    if (!this.#closed) this.#socket.write(Buffer.concat(turns));
    let left = turns.length;
    await this.#until(({ type }) => type === "Z" && --left === 0, from);
    const messages = this.said.splice(from);
    const ended: Message[][] = [];
    for (let at = 0, start = 0; at < messages.length; at++) {
      if (messages[at]!.type !== "Z" && at < messages.length - 1) continue;
      ended.push(messages.slice(start, at + 1));
      start = at + 1;
    }
    return ended;
  }

  /** No goodbye. */
  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  async #until(found: (one: Message, at: number) => boolean, from: number): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    for (let at = from; ;) {
      for (; at < this.said.length; at++) if (found(this.said[at]!, at)) return;
      if (this.#closed) return;
      if (Date.now() > deadline)
        throw new Error(
          `no answer: ${this.said
            .slice(from)
            .map(({ type }) => type)
            .join("")}`,
        );
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, 1_000);
        this.#wake = () => {
          clearTimeout(late);
          resolve();
        };
      });
    }
  }

  #split(): void {
    let at = 0;
    while (this.#bytes.length - at >= 5) {
      const end = at + 1 + this.#bytes.readUInt32BE(at + 1);
      if (end > this.#bytes.length) break;
      const type = String.fromCharCode(this.#bytes[at]!);
      if (type !== "K") this.said.push({ type, body: Buffer.from(this.#bytes.subarray(at + 5, end)) });
      at = end;
    }
    this.#bytes = this.#bytes.subarray(at);
  }
}

const isHeld = ({ type, body }: Message): boolean => type === "N" && body.includes("This command waits for approval");

/** Fields of an ErrorResponse or a NoticeResponse, by their letters. */
export function fieldsOf({ body }: Message): Readonly<Record<string, string>> {
  const fields = body
    .toString("utf8")
    .split("\0")
    .filter((field) => field !== "");
  return Object.fromEntries(fields.map((field) => [field[0]!, field.slice(1)]));
}

/** Cells of a DataRow. */
export function cellsOf({ body }: Message): (Buffer | null)[] {
  const cells: (Buffer | null)[] = [];
  let at = 2;
  for (let left = body.readUInt16BE(0); left > 0; left--) {
    const length = body.readInt32BE(at);
    at += 4;
    cells.push(length < 0 ? null : body.subarray(at, at + length));
    if (length > 0) at += length;
  }
  return cells;
}

/** Type oids of a RowDescription. */
export function typesOf({ body }: Message): number[] {
  const types: number[] = [];
  let at = 2;
  for (let left = body.readUInt16BE(0); left > 0; left--) {
    at = body.indexOf(0, at) + 1;
    types.push(body.readUInt32BE(at + 6));
    at += 18;
  }
  return types;
}
