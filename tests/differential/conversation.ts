import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { encode, type Message, readies } from "./messages.ts";

/** One way to a server: direct, or through the gateway. */
export interface Route {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** file of the CA; absent: no TLS */
  readonly ca?: string;
}

/** A session at the server beside the one that is tested. */
export interface Aside {
  run(sql: string): Promise<void>;
  /** a statement with this text sleeps: before it is run, a cancel request is lost, at the server too */
  untilRuns(text: string): Promise<void>;
}

export interface Answer {
  readonly type: string;
  readonly body: Buffer;
}

/** A part of a conversation: what is said, and the types of the answers that end it, in order. */
export interface Turn {
  readonly say: readonly Message[];
  /** default: a `Z` for every Query, Sync and FunctionCall; `$`: the connection's end */
  readonly until?: string;
  /** ends with a ReadyForQuery behind an answer that holds this text; counts for this turn and what is left of the one before */
  readonly untilText?: string;
  /** before it is said, another session at the server runs this */
  readonly outside?: string;
  /** once a statement with this text sleeps at the server, a cancel request is sent */
  readonly cancelWhen?: string;
  /** the messages leave in pieces of so many bytes */
  readonly pieces?: number;
}

const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const CANCEL = Buffer.from([0, 0, 0, 16, 0x04, 0xd2, 0x16, 0x2e]);
const PATIENCE_MS = 60_000;

async function dial(route: Route): Promise<Socket> {
  const socket = connectTcp({ host: route.host, port: route.port, noDelay: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  if (route.ca === undefined) return socket;
  socket.write(SSL_REQUEST);
  await once(socket, "data");
  const secured = connectTls({ socket, ca: readFileSync(route.ca), servername: "localhost" });
  secured.on("error", () => {});
  await once(secured, "secureConnect");
  return secured;
}

/** A client that says exactly these messages, and keeps every byte of the answers. */
export class Conversation {
  readonly answers: Answer[] = [];
  /** what came with the login */
  login: readonly Answer[] = [];
  closed = false;
  readonly #route: Route;
  readonly #aside: Aside;
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};

  private constructor(route: Route, aside: Aside, socket: Socket) {
    this.#route = route;
    this.#aside = aside;
    this.#socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      this.#take(chunk);
      this.#wake();
    });
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Logs in; whoever asks for the password must ask for it in clear. */
  static async open(
    route: Route,
    aside: Aside,
    parameters: Readonly<Record<string, string>> = {},
  ): Promise<Conversation> {
    const conversation = new Conversation(route, aside, await dial(route));
    await conversation.#logIn(parameters);
    return conversation;
  }

  async #logIn(parameters: Readonly<Record<string, string>>): Promise<void> {
    const { user, database, password } = this.#route;
    const fields = Object.entries({ user, database, client_encoding: "UTF8", ...parameters }).flat();
    const text = Buffer.from(`${fields.join("\0")}\0\0`);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(8 + text.length, 0);
    head.writeUInt32BE(0x0003_0000, 4);
    this.#socket.write(Buffer.concat([head, text]));
    await this.#until("R", 0);
    const asked = this.answers[0];
    if (asked?.type === "R" && asked.body.readUInt32BE(0) === 3) {
      this.#socket.write(encode(["raw", "p", { hex: Buffer.from(`${password}\0`).toString("hex") }]));
    }
    await this.#until("Z", 0);
    this.login = this.answers.splice(0);
  }

  /** The answers to one turn. */
  async turn(turn: Turn): Promise<Answer[]> {
    const from = this.answers.length;
    if (turn.outside !== undefined) await this.#aside.run(turn.outside);
    const bytes = Buffer.concat(turn.say.map(encode));
    const size = turn.pieces ?? bytes.length;
    for (let at = 0; at < bytes.length; at += size) {
      this.#socket.write(bytes.subarray(at, at + size));
      if (turn.pieces !== undefined) await new Promise((resolve) => setImmediate(resolve));
    }
    if (turn.cancelWhen !== undefined) await this.#cancel(turn.cancelWhen);
    if (turn.untilText !== undefined) await this.#untilText(turn.untilText, from);
    else await this.#until(turn.until ?? "Z".repeat(readies(turn.say)), from);
    return this.answers.slice(from);
  }

  end(): void {
    this.#socket.destroy();
  }

  async #cancel(marker: string): Promise<void> {
    const key = this.login.find(({ type }) => type === "K");
    if (key === undefined) throw new Error("no key");
    await this.#aside.untilRuns(marker);
    const socket = await dial(this.#route);
    socket.resume();
    socket.end(Buffer.concat([CANCEL, key.body]));
    // Who is cancelled closes the connection, in whatever way.
    while (!socket.closed) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async #untilText(text: string, from: number): Promise<void> {
    const found = (): boolean => {
      const at = this.answers.findIndex(({ type, body }, i) => i >= from && type === "D" && body.includes(text));
      return at >= 0 && this.answers.some(({ type }, i) => i > at && type === "Z");
    };
    for (const deadline = Date.now() + PATIENCE_MS; !found() && !this.closed;) {
      if (Date.now() > deadline) throw new Error(`waited for ${text}`);
      await this.#news();
    }
  }

  #news(): Promise<void> {
    return new Promise<void>((resolve) => {
      const late = setTimeout(resolve, 250);
      this.#wake = () => {
        clearTimeout(late);
        resolve();
      };
    });
  }

  /** Until answers of these types have come, in this order, whatever lies between. */
  async #until(types: string, from: number): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      let at = from;
      const ended = [...types].every((type) => {
        if (type === "$") return this.closed;
        while (at < this.answers.length && this.answers[at]?.type !== type) at += 1;
        at += 1;
        return at <= this.answers.length;
      });
      if (ended || this.closed) return;
      if (Date.now() > deadline) {
        const got = this.answers.slice(from).map(({ type, body }) => (type === "E" ? `E(${body.toString()})` : type));
        throw new Error(`waited for ${types}, got ${got.join("")}`);
      }
      await this.#news();
    }
  }

  #take(chunk: Buffer): void {
    let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (bytes.length >= 5) {
      const end = 1 + bytes.readUInt32BE(1);
      if (bytes.length < end) break;
      this.answers.push({ type: String.fromCharCode(bytes[0] as number), body: Buffer.from(bytes.subarray(5, end)) });
      bytes = bytes.subarray(end);
    }
    this.#pending = Buffer.from(bytes);
  }
}
