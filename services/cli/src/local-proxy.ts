import { randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { AppError } from "@sallyport/runtime";
import { dial, LOGIN_TIMEOUT_MS, MAX_MESSAGE, passwordMessage, SSL_REQUEST, startupMessage } from "./edge-login.ts";
import type { Deployment, Profile } from "./home.ts";
import { MessageReader } from "./message-reader.ts";

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

const GSSENC_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const MAX_PASSWORD = 1_000;

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
      `${whyNoPort(options.port, cause)} Choose another with --port, or leave it out: then a free one is taken.`,
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

function whyNoPort(port: number, cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === "EADDRINUSE") return `Port ${port} is in use by another program.`;
  if (code === "EACCES") return `Port ${port} is not for this account: the system keeps low numbers for itself.`;
  return `Port ${port} cannot be opened (${code}).`;
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
  const request = await edgeReader.message("R".charCodeAt(0), MAX_MESSAGE, "E".charCodeAt(0));
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

/** The client's parameters, with the user and the connection that this port stands for. */
function startupFor(startup: Buffer, options: LocalProxyOptions): Buffer {
  const fields = startup.subarray(8, -1).toString("utf8").split("\0");
  const parameters = new Map<string, string>();
  for (let index = 0; index + 1 < fields.length; index += 2) {
    if (fields[index] !== "") parameters.set(fields[index]!, fields[index + 1]!);
  }
  parameters.set("user", options.profile.user);
  parameters.set("database", options.connection);
  return startupMessage(codeOf(startup), parameters);
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

function errorResponse(code: string, message: string): Buffer {
  const body = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`);
  const head = Buffer.alloc(5);
  head[0] = "E".charCodeAt(0);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}
