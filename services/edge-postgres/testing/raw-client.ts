import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { once } from "node:events";
import { serialize } from "pg-protocol";
import {
  decodeCommandComplete,
  decodeDataRow,
  decodeFields,
  cellPlaces,
  decodeReadyForQuery,
  decodeRowDescription,
} from "../src/wire/backend.ts";
import { backendTable } from "../src/wire/message-table.ts";
import { MessageSplitter } from "../src/wire/splitter.ts";
import { encodeSslRequest, encodeStartup, PROTOCOL_3_0 } from "../src/wire/startup.ts";

/** A client that says exactly what a test wants, in the order and the pieces that it wants. */
export interface Said {
  readonly type: string;
  readonly body: Buffer;
}

export interface RawOptions {
  readonly port: number;
  /** file of the CA; absent: no TLS */
  readonly ca?: string;
  readonly user?: string;
  readonly password?: string;
  readonly database: string;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly protocol?: number;
}

export class RawClient {
  readonly socket: Socket;
  /** everything the server has said, also what `until` has given out */
  readonly said: Said[] = [];
  readonly #splitter = new MessageSplitter(backendTable);
  #taken = 0;
  #wake: () => void = () => {};
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      this.#splitter.push(chunk as Buffer);
      while (this.#splitter.next() === "message") {
        const { type, bytes, start, end } = this.#splitter;
        this.said.push({ type: String.fromCharCode(type), body: Buffer.from(bytes.subarray(start + 5, end)) });
      }
      this.#wake();
    });
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  static async login(options: RawOptions): Promise<RawClient> {
    const client = new RawClient(await dial(options));
    client.send(
      encodeStartup(options.protocol ?? PROTOCOL_3_0, [
        ["user", options.user ?? "engineer"],
        ["database", options.database],
        ...Object.entries(options.parameters ?? {}),
      ]),
    );
    const [asked] = await client.until("R", "E", "v");
    if (asked?.type !== "E") client.send(serialize.password(options.password ?? "token"));
    await client.until("Z", "E");
    return client;
  }

  send(...messages: Buffer[]): void {
    this.socket.write(Buffer.concat(messages));
  }

  /** What comes up to and with the first message of one of these types; what there is when the connection ends. */
  async until(...types: string[]): Promise<Said[]> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      const found = this.said.findIndex((m, i) => i >= this.#taken && types.includes(m.type));
      if (found >= 0 || this.closed) {
        const end = found >= 0 ? found + 1 : this.said.length;
        const part = this.said.slice(this.#taken, end);
        this.#taken = end;
        return part;
      }
      if (Date.now() > deadline) throw new Error(`no ${types.join(", ")}: ${this.said.map((m) => m.type).join("")}`);
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(late);
          resolve();
        };
      });
    }
  }

  async query(sql: string): Promise<Said[]> {
    this.send(serialize.query(sql));
    return await this.until("Z");
  }

  /** The process id and the secret of its cancel key. */
  get key(): { processId: number; secret: Buffer } {
    const found = this.said.find((m) => m.type === "K");
    if (found === undefined) throw new Error("no key");
    return { processId: found.body.readInt32BE(0), secret: found.body.subarray(4) };
  }

  end(): void {
    this.socket.destroy();
  }
}

export async function dial(options: Pick<RawOptions, "port" | "ca">): Promise<Socket> {
  const socket = connectTcp({ host: "127.0.0.1", port: options.port, noDelay: true });
  await once(socket, "connect");
  if (options.ca === undefined) return socket;
  socket.write(encodeSslRequest());
  const [answer] = (await once(socket, "data")) as [Buffer];
  if (answer.toString() !== "S") throw new Error("no TLS");
  const secured = connectTls({ socket, ca: readFileSync(options.ca), servername: "localhost" });
  await once(secured, "secureConnect");
  return secured;
}

/** Types as one string: `TDDCZ`. */
export const typesOf = (said: readonly Said[]): string => said.map((m) => m.type).join("");

export const rowsOf = (said: readonly Said[]): (string | null)[][] =>
  said
    .filter((m) => m.type === "D")
    .map(({ body }) => {
      const places = cellPlaces();
      decodeDataRow(body, 0, body.length, places);
      return Array.from({ length: places.count }, (_, i) => {
        const start = places.starts[i] as number;
        const length = places.lengths[i] as number;
        return length < 0 ? null : body.toString("utf8", start, start + length);
      });
    });

export const columnsOf = (said: readonly Said[]): string[] =>
  said.flatMap((m) => (m.type === "T" ? decodeRowDescription(m.body, 0, m.body.length).map((f) => f.name) : []));

export const tagsOf = (said: readonly Said[]): string[] =>
  said.flatMap((m) => (m.type === "C" ? [decodeCommandComplete(m.body, 0, m.body.length)] : []));

/** Fields of errors (`E`) or notices (`N`), by their letters. */
export const reportsOf = (said: readonly Said[], type: "E" | "N" = "E"): Record<string, string>[] =>
  said.flatMap((m) => (m.type === type ? [Object.fromEntries(decodeFields(m.body, 0, m.body.length))] : []));

export const statusOf = (said: readonly Said[]): string => {
  const last = said.findLast((m) => m.type === "Z");
  return last === undefined ? "" : decodeReadyForQuery(last.body, 0, 1);
};
