import { once } from "node:events";
import type { Socket } from "node:net";
import { AppError } from "@sallyport/runtime";

const MAX_STARTUP = 10_000;

/** Reads the few messages of a login; what came after them is handed on by `release`. */
export class MessageReader {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.pause();
  }

  async startup(): Promise<Buffer> {
    const length = (await this.#peek(4)).readInt32BE(0);
    if (length < 8 || length > MAX_STARTUP)
      throw new AppError("invalid-input", "cli.connect", "The client's first message is not a PostgreSQL startup.");
    return this.#take(length);
  }

  async message(type: number, maximum: number, alternative = type): Promise<Buffer> {
    const head = await this.#peek(5);
    const length = head.readInt32BE(1);
    if ((head[0] !== type && head[0] !== alternative) || length < 4 || length > maximum) {
      throw new AppError("invalid-input", "cli.connect", "An unexpected message came during the login.");
    }
    return this.#take(length + 1);
  }

  release(): Buffer {
    const rest = this.#buffer;
    this.#buffer = Buffer.alloc(0);
    return rest;
  }

  async #peek(length: number): Promise<Buffer> {
    while (this.#buffer.length < length) await this.#more();
    return this.#buffer;
  }

  async #take(length: number): Promise<Buffer> {
    const all = await this.#peek(length);
    this.#buffer = all.subarray(length);
    return all.subarray(0, length);
  }

  async #more(): Promise<void> {
    let chunk = this.#socket.read() as Buffer | null;
    while (chunk === null) {
      if (this.#socket.readableEnded || this.#socket.destroyed) {
        throw new AppError("unavailable", "cli.connect", "The connection ended during the login.");
      }
      await Promise.race([once(this.#socket, "readable"), once(this.#socket, "end"), once(this.#socket, "close")]);
      chunk = this.#socket.read() as Buffer | null;
    }
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
  }
}
