import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { AppError, type ErrorCode } from "@sallyport/runtime";
import type { Deployment, Profile } from "./home.ts";
import { MessageReader } from "./message-reader.ts";
import { IS_IT_RUNNING } from "./out-of-reach.ts";

/**
 * The login at the PostgreSQL edge, from the client's side.
 *
 * Messages: PostgreSQL frontend/backend protocol, section 54.7 (StartupMessage, SSLRequest, PasswordMessage,
 * ErrorResponse, Terminate).
 */
export const SSL_REQUEST = 80877103;
export const MAX_MESSAGE = 10_000;
export const LOGIN_TIMEOUT_MS = 30_000;

const PROTOCOL_3_0 = 0x0003_0000;
const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4]);
const typeOf = (letter: string): number => letter.charCodeAt(0);

/** A TLS connection to the edge, nothing said yet but SSLRequest. */
export async function dial(deployment: Deployment): Promise<TLSSocket> {
  const colon = deployment.postgres.lastIndexOf(":");
  const host = deployment.postgres.slice(0, colon);
  const plain = connectPlain({ host, port: Number(deployment.postgres.slice(colon + 1)) });
  try {
    await once(plain, "connect");
  } catch (cause) {
    throw new AppError(
      "unavailable",
      "cli.connect",
      `The gateway does not answer at ${deployment.postgres}. ${IS_IT_RUNNING}`,
      { cause },
    );
  }
  plain.setNoDelay(true);
  const request = Buffer.alloc(8);
  request.writeInt32BE(8, 0);
  request.writeInt32BE(SSL_REQUEST, 4);
  plain.write(request);
  const [answer] = (await once(plain, "data")) as [Buffer];
  if (answer.length !== 1 || answer[0] !== typeOf("S")) {
    plain.destroy();
    throw new AppError("unavailable", "cli.connect", "The gateway did not offer TLS; nothing was sent to it.");
  }
  const socket = connectTls({ socket: plain, ca: readFileSync(deployment.ca), servername: host });
  await once(socket, "secureConnect");
  return socket;
}

/** Logs in and out again. Throws what the edge says: `not-found` for a connection that does not exist. */
export async function tryLogin(deployment: Deployment, profile: Profile, connection: string): Promise<void> {
  const edge = await dial(deployment);
  try {
    edge.on("error", () => edge.destroy());
    edge.setTimeout(LOGIN_TIMEOUT_MS, () => edge.destroy());
    const reader = new MessageReader(edge);
    edge.write(
      startupMessage(
        PROTOCOL_3_0,
        new Map([
          ["user", profile.user],
          ["database", connection],
        ]),
      ),
    );
    let answer = await reader.message(typeOf("R"), MAX_MESSAGE, typeOf("E"));
    if (answer[0] === typeOf("R")) {
      edge.write(passwordMessage(profile.token));
      answer = await reader.message(typeOf("R"), MAX_MESSAGE, typeOf("E"));
    }
    if (answer[0] === typeOf("E")) throw refusalOf(answer, connection);
    edge.end(TERMINATE);
  } finally {
    edge.destroySoon();
  }
}

/** Int32 length, Int32 protocol, then pairs of zero-terminated texts and a zero. */
export function startupMessage(protocol: number, parameters: ReadonlyMap<string, string>): Buffer {
  const body = Buffer.from([...parameters].flat().join("\0") + "\0\0", "utf8");
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 8, 0);
  head.writeInt32BE(protocol, 4);
  return Buffer.concat([head, body]);
}

export function passwordMessage(token: string): Buffer {
  const body = Buffer.from(token + "\0");
  const head = Buffer.alloc(5);
  head[0] = typeOf("p");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** The edge's own table, backwards (its README, "SQLSTATE"). */
const CODES: Readonly<Record<string, ErrorCode>> = {
  "28P01": "unauthenticated",
  "42501": "not-permitted",
  "3D000": "not-found",
  "08006": "unavailable",
  "53300": "exhausted",
};

/** ErrorResponse: `E`, Int32 length, then fields of a type byte and a zero-terminated text, and a zero. */
export function refusalOf(message: Buffer, connection: string): AppError {
  const fields = new Map(
    message
      .subarray(5)
      .toString("utf8")
      .split("\0")
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  );
  const text = fields.get("M") ?? "The gateway refused the login.";
  const hint = fields.get("H");
  const sentence = hint === undefined ? text : `${text.replace(/\.?$/, ".")} ${hint}`;
  const code = CODES[fields.get("C") ?? ""] ?? "failed-precondition";
  const ofConnection = code === "not-found" || code === "not-permitted";
  return new AppError(code, "cli.connect", ofConnection ? `${connection}: ${sentence}` : sentence);
}
