import { randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { AppError } from "@sallyport/runtime";
import type { Deployment, Profile } from "./home.ts";

/**
 * A local port for programs that cannot do TLS or carry a long password: it checks a password made for this run and
 * opens the session at the edge with the account's token. Nothing of the protocol after the login is touched.
 *
 * Messages: PostgreSQL frontend/backend protocol, section 54.7 (StartupMessage, SSLRequest, AuthenticationCleartextPassword).
 */
export interface LocalProxy {
  readonly dsn: string;
  readonly port: number;
  close(): Promise<void>;
}

const SSL_REQUEST = 80877103;
const GSSENC_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const MAX_STARTUP = 10_000;
const MAX_PASSWORD = 1_000;
const LOGIN_TIMEOUT_MS = 30_000;

export interface LocalProxyOptions {
  readonly deployment: Deployment;
  readonly profile: Profile;
  /** `connection` or `connection/database`. */
  readonly connection: string;
  readonly port: number;
  readonly onProblem: (message: string) => void;
}

export async function startLocalProxy(options: LocalProxyOptions): Promise<LocalProxy> {
  const password = randomBytes(16).toString("base64url");
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    sockets.add(client);
    client.on("close", () => sockets.delete(client));
    client.on("error", () => client.destroy());
    serve(client, password, options).catch((error: unknown) => {
      options.onProblem(AppError.from(error, "cli.connect").message);
      client.destroy();
    });
  });
  server.listen(options.port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new AppError(
      "failed-precondition",
      "cli.connect",
      `Port ${options.port} cannot be used (${(cause as NodeJS.ErrnoException).code}). Choose another with --port.`,
      { cause },
    );
  }
  const { port } = server.address() as AddressInfo;
  const database = encodeURIComponent(options.connection);
  return {
    port,
    dsn: `postgresql://${encodeURIComponent(options.profile.user)}:${password}@127.0.0.1:${port}/${database}?sslmode=disable`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

async function serve(client: Socket, password: string, options: LocalProxyOptions): Promise<void> {
  client.setNoDelay(true);
  client.setTimeout(LOGIN_TIMEOUT_MS, () => client.destroy());
  const reader = new MessageReader(client);
  let startup = await reader.startup();
  while (codeOf(startup) === SSL_REQUEST || codeOf(startup) === GSSENC_REQUEST) {
    client.write("N");
    startup = await reader.startup();
  }
  if (codeOf(startup) === CANCEL_REQUEST) {
    const edge = await dial(options.deployment);
    edge.end(startup);
    client.end();
    return;
  }
  client.write(authenticationCleartextPassword());
  const given = await reader.message("p".charCodeAt(0), MAX_PASSWORD);
  if (!samePassword(given.subarray(5, -1), password)) {
    client.end(
      errorResponse("28P01", "The password of this local port is wrong. Use the DSN that `sallyport connect` printed."),
    );
    return;
  }
  const edge = await dial(options.deployment);
  edge.on("error", () => client.destroy());
  edge.write(startupFor(startup, options));
  const edgeReader = new MessageReader(edge);
  const request = await edgeReader.message("R".charCodeAt(0), MAX_STARTUP, "E".charCodeAt(0));
  if (request[0] === "R".charCodeAt(0) && request.readInt32BE(5) === 3)
    edge.write(passwordMessage(options.profile.token));
  else client.write(request);
  client.setTimeout(0);
  const early = edgeReader.release();
  if (early.length > 0) client.write(early);
  const rest = reader.release();
  if (rest.length > 0) edge.write(rest);
  client.pipe(edge).pipe(client);
  edge.on("close", () => client.destroy());
  client.on("close", () => edge.destroy());
}

async function dial(deployment: Deployment): Promise<TLSSocket> {
  const colon = deployment.postgres.lastIndexOf(":");
  const host = deployment.postgres.slice(0, colon);
  const plain = (await import("node:net")).connect({ host, port: Number(deployment.postgres.slice(colon + 1)) });
  await once(plain, "connect");
  plain.setNoDelay(true);
  const request = Buffer.alloc(8);
  request.writeInt32BE(8, 0);
  request.writeInt32BE(SSL_REQUEST, 4);
  plain.write(request);
  const [answer] = (await once(plain, "data")) as [Buffer];
  if (answer.length !== 1 || answer[0] !== "S".charCodeAt(0)) {
    plain.destroy();
    throw new AppError("unavailable", "cli.connect", "The gateway did not offer TLS; nothing was sent to it.");
  }
  const socket = connectTls({ socket: plain, ca: readFileSync(deployment.ca), servername: host });
  await once(socket, "secureConnect");
  return socket;
}

/** The client's parameters, with the user and the connection that this port stands for. */
function startupFor(startup: Buffer, options: LocalProxyOptions): Buffer {
  const fields = startup.subarray(8, -1).toString("utf8").split("\0");
  const parameters = new Map<string, string>();
  for (let index = 0; index + 1 < fields.length; index += 2) {
    if (fields[index] !== "") parameters.set(fields[index]!, fields[index + 1]!);
  }
  parameters.set("user", options.profile.user);
  parameters.set("database", options.connection);
  const body = Buffer.from([...parameters].flat().join("\0") + "\0\0", "utf8");
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  startup.copy(head, 4, 4, 8);
  return Buffer.concat([head, body]);
}

function codeOf(startup: Buffer): number {
  return startup.readInt32BE(4);
}

function samePassword(given: Buffer, password: string): boolean {
  const expected = Buffer.from(password);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function authenticationCleartextPassword(): Buffer {
  return Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]);
}

function passwordMessage(token: string): Buffer {
  const body = Buffer.from(token + "\0");
  const head = Buffer.alloc(5);
  head[0] = "p".charCodeAt(0);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function errorResponse(code: string, message: string): Buffer {
  const body = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head[0] = "E".charCodeAt(0);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** Reads the few messages of a login; what came after them is handed on by `release`. */
class MessageReader {
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
