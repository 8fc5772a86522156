import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext } from "node:tls";
import { until } from "./until.ts";

/** A client that says exactly the bytes that a test wants. It knows just enough of the protocol to be understood. */
export interface Message {
  readonly type: string;
  readonly body: Buffer;
}

/** ErrorResponse's fields that count here (section 54.8). */
export interface Report {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
}

export const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

export function startup(parameters: Readonly<Record<string, string>>, version = 0x0003_0000): Buffer {
  const text = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`);
  return startupOf(version, Buffer.from(`${text.join("")}\0`));
}

export function startupOf(version: number, body: Buffer, length = 8 + body.length): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(length, 0);
  head.writeUInt32BE(version, 4);
  return Buffer.concat([head, body]);
}

/** One message; `length` overrides what is true. */
export function message(type: string, body: Buffer | string, length?: number): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeUInt32BE(length ?? 4 + bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

export const query = (sql: string): Buffer => message("Q", `${sql}\0`);
export const password = (token: string): Buffer => message("p", `${token}\0`);

const contexts = new Map<string, SecureContext>();

/** Made once: a thousand clients would spend their time on reading the same certificate. */
function trusting(ca: string): SecureContext {
  let context = contexts.get(ca);
  if (context === undefined) contexts.set(ca, (context = createSecureContext({ ca: readFileSync(ca) })));
  return context;
}

export class RawClient {
  readonly messages: Message[] = [];
  socket: Socket;
  ended = false;
  /** bytes that came from the server */
  received = 0;
  #bytes = Buffer.alloc(0);
  /** as the edge sees it */
  readonly address: string;
  readonly #raw: Socket;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#raw = socket;
    this.address = `127.0.0.1:${socket.localPort}`;
    this.#listen();
  }

  static async tcp(port: number): Promise<RawClient> {
    const socket = connectTcp({ host: "127.0.0.1", port, noDelay: true });
    await once(socket, "connect");
    return new RawClient(socket);
  }

  /** Encrypted, as a client asks for it; nothing else has been said. */
  static async tls(port: number, ca: string, deadlineMs?: number): Promise<RawClient> {
    const plain = await RawClient.tcp(port);
    plain.send(SSL_REQUEST);
    const answered = (): boolean => plain.#bytes.length > 0 || plain.ended;
    await until("an answer to SSLRequest", () => (answered() ? true : undefined), deadlineMs);
    if (plain.#bytes.toString("latin1") !== "S") return plain;
    plain.#bytes = Buffer.alloc(0);
    plain.socket.removeAllListeners();
    plain.socket = connectTls({ socket: plain.socket, secureContext: trusting(ca), servername: "localhost" });
    plain.#listen();
    await Promise.race([once(plain.socket, "secureConnect"), once(plain.socket, "close")]).catch(() => undefined);
    return plain;
  }

  /** Logged in: the server has said that it is ready, or has refused (`report`). */
  static async login(
    { port, ca, user, token }: { port: number; ca: string; user: string; token: string },
    database: string,
    deadlineMs?: number,
  ): Promise<RawClient> {
    const client = await RawClient.tls(port, ca, deadlineMs);
    client.send(startup({ user, database, application_name: "raw" }));
    await client.within(deadlineMs, "R", "E");
    if (client.messages.at(-1)?.type === "R") client.send(password(token));
    await client.within(deadlineMs, "Z", "E");
    return client;
  }

  send(...bytes: Buffer[]): void {
    if (!this.socket.destroyed) this.socket.write(Buffer.concat(bytes));
  }

  /** Waits for one of these from now on; or the end. */
  until(...types: string[]): Promise<void> {
    return this.within(undefined, ...types);
  }

  async within(deadlineMs: number | undefined, ...types: string[]): Promise<void> {
    const from = this.messages.length;
    const found = (): boolean => this.messages.slice(from).some(({ type }) => types.includes(type));
    await until(`one of ${types.join(", ")}`, () => (found() || this.ended ? true : undefined), deadlineMs);
  }

  /** The server has closed the connection. */
  async end(deadlineMs = 20_000): Promise<void> {
    await until("the server hangs up", () => (this.ended ? true : undefined), deadlineMs);
  }

  /** No goodbye. */
  vanish(): void {
    this.#raw.resetAndDestroy();
  }

  /** The last error that the server told. */
  get report(): Report | undefined {
    const last = this.messages.findLast(({ type }) => type === "E");
    if (last === undefined) return undefined;
    const fields = new Map(
      last.body
        .toString("utf8")
        .split("\0")
        .filter((field) => field !== "")
        .map((field) => [field[0], field.slice(1)]),
    );
    return { severity: fields.get("V") ?? "", code: fields.get("C") ?? "", message: fields.get("M") ?? "" };
  }

  #listen(): void {
    const { socket } = this;
    socket.on("error", () => undefined);
    socket.on("close", () => (this.ended = true));
    socket.on("data", (chunk: Buffer) => {
      this.received += chunk.length;
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#take();
    });
  }

  #take(): void {
    for (let at = 0; ;) {
      const rest = this.#bytes.length - at;
      const length = rest < 5 ? 0 : this.#bytes.readUInt32BE(at + 1);
      if (rest < 5 || rest < 1 + length) {
        this.#bytes = this.#bytes.subarray(at);
        return;
      }
      const type = String.fromCharCode(this.#bytes[at]!);
      // Rows are counted by their bytes; to keep a big result would make the test the one that runs out of memory.
      if (type !== "D") this.messages.push({ type, body: this.#bytes.subarray(at + 5, at + 1 + length) });
      at += 1 + length;
    }
  }
}
