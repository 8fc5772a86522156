import type { Socket } from "node:net";
import { type SecureContext, TLSSocket } from "node:tls";
import { encodeNegotiateProtocolVersion } from "./wire/encode.ts";
import { decodePassword } from "./wire/frontend.ts";
import { WireFault } from "./wire/fault.ts";
import { Frontend, frontendTable } from "./wire/message-table.ts";
import { MessageSplitter } from "./wire/splitter.ts";
import {
  ALPN,
  decodeStartup,
  PROTOCOL_3_0,
  PROTOCOL_3_2,
  type StartupPacket,
  startupLength,
  TLS_HANDSHAKE,
} from "./wire/startup.ts";

/**
 * What comes before the session (sections 54.2.1, 54.2.9, 54.2.10): encryption, the startup packet, the password. Every
 * read has the one deadline of the handshake: a client that sends a byte a second gets no further than one that sends none.
 */
export interface NegotiateOptions {
  readonly secureContext: SecureContext;
  readonly signal: AbortSignal;
}

export type Negotiated =
  | { kind: "cancel"; processId: number; secret: Buffer }
  /** `socket`: where the client can be told, encrypted once it is */
  | { kind: "failed"; socket: Socket | TLSSocket; error: unknown }
  | {
      kind: "startup";
      socket: Socket | TLSSocket;
      /** version and cipher; empty: none */
      tls: string;
      /** 3.0 … 3.2 */
      protocol: number;
      startup: Extract<StartupPacket, { kind: "startup" }>;
    };

/** The client went away, or was too slow. */
export class HandshakeEnded extends Error {
  override readonly name = "HandshakeEnded";
  readonly late: boolean;

  constructor(late: boolean) {
    super(late ? "too slow" : "gone");
    this.late = late;
  }
}

const YES = Buffer.from("S");
const NO = Buffer.from("N");
/** SSLRequest and GSSENCRequest may each come once. */
const MAX_REQUESTS = 4;

/** Fails with WireFault and HandshakeEnded. The socket that it leaves behind is paused. */
export async function negotiate(raw: Socket, options: NegotiateOptions): Promise<Negotiated> {
  const spoken: Spoken = { socket: raw };
  try {
    return await begin(raw, spoken, options);
  } catch (error) {
    return { kind: "failed", socket: spoken.socket, error };
  }
}

/** What the client and we speak over, so far. */
interface Spoken {
  socket: Socket | TLSSocket;
}

async function begin(raw: Socket, spoken: Spoken, options: NegotiateOptions): Promise<Negotiated> {
  let socket: Socket | TLSSocket = raw;
  let pending = await nextBytes(socket, options.signal);
  if (pending[0] === TLS_HANDSHAKE) {
    // Direct TLS: what was read belongs to the TLS session.
    raw.unshift(pending);
    spoken.socket = socket = await secured(raw, options);
    if (socket instanceof TLSSocket && socket.alpnProtocol !== ALPN) {
      throw new WireFault(`direct TLS needs the ALPN protocol ${ALPN}`);
    }
    pending = await nextBytes(socket, options.signal);
  }
  for (let requests = 0; requests < MAX_REQUESTS; requests++) {
    const [packet, rest] = await onePacket(socket, pending, options.signal);
    const decoded = decodeStartup(packet);
    switch (decoded.kind) {
      case "ssl-request":
      case "gssenc-request":
        // Bytes behind the request were sent before anything is encrypted: somebody in between (CVE-2021-23214).
        if (rest.length > 0) throw new WireFault("unencrypted data behind a request for encryption");
        if (decoded.kind === "gssenc-request" || socket instanceof TLSSocket) socket.write(NO);
        else {
          socket.write(YES);
          spoken.socket = socket = await secured(raw, options);
        }
        pending = await nextBytes(socket, options.signal);
        break;
      case "cancel":
        return decoded;
      case "startup":
        if (rest.length > 0) socket.unshift(rest);
        return { kind: "startup", socket, tls: tlsOf(socket), protocol: versionOf(decoded.minor), startup: decoded };
      default:
        decoded satisfies never;
    }
  }
  throw new WireFault("too many requests for encryption");
}

const versionOf = (minor: number): number => Math.min(PROTOCOL_3_0 + minor, PROTOCOL_3_2);

/** NegotiateProtocolVersion, when the client asked for more than there is; undefined: nothing to say. */
export function versionAnswer(minor: number, protocolOptions: readonly string[]): Buffer | undefined {
  if (PROTOCOL_3_0 + minor <= PROTOCOL_3_2 && protocolOptions.length === 0) return undefined;
  return encodeNegotiateProtocolVersion(versionOf(minor), protocolOptions);
}

function tlsOf(socket: Socket | TLSSocket): string {
  if (!(socket instanceof TLSSocket)) return "";
  return `${socket.getProtocol() ?? "unknown"} ${socket.getCipher().standardName}`;
}

/** The server's side of TLS. Throws HandshakeEnded when it does not come about. */
async function secured(raw: Socket, { secureContext, signal }: NegotiateOptions): Promise<TLSSocket> {
  const socket = new TLSSocket(raw, { isServer: true, secureContext, ALPNProtocols: [ALPN] });
  socket.on("error", () => {});
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      socket.off("secure", done);
      socket.off("close", gone);
      raw.off("close", gone);
      socket.off("_tlsError", gone);
      signal.removeEventListener("abort", late);
    };
    const done = (): void => {
      stop();
      resolve();
    };
    const gone = (): void => {
      stop();
      reject(new HandshakeEnded(false));
    };
    const late = (): void => {
      stop();
      reject(new HandshakeEnded(true));
    };
    socket.once("secure", done);
    socket.once("close", gone);
    raw.once("close", gone);
    socket.once("_tlsError", gone);
    if (signal.aborted) late();
    else signal.addEventListener("abort", late, { once: true });
  });
  return socket;
}

async function onePacket(
  socket: Socket | TLSSocket,
  first: Buffer,
  signal: AbortSignal,
): Promise<[packet: Buffer, rest: Buffer]> {
  let bytes = first;
  for (;;) {
    const length = startupLength(bytes);
    if (length !== undefined && bytes.length >= length) return [bytes.subarray(0, length), bytes.subarray(length)];
    bytes = Buffer.concat([bytes, await nextBytes(socket, signal)]);
  }
}

const passwordTable = frontendTable(5);

/** PasswordMessage: the token. What came behind it is put back. */
export async function readPassword(socket: Socket | TLSSocket, signal: AbortSignal): Promise<string> {
  const splitter = new MessageSplitter(passwordTable);
  for (;;) {
    const chunk = await nextBytes(socket, signal);
    splitter.push(chunk);
    if (splitter.next() === "more") continue;
    const { type, bytes, start, end } = splitter;
    if (type === Frontend.terminate) throw new HandshakeEnded(false);
    if (type !== Frontend.password) throw new WireFault("a password was expected");
    const password = decodePassword(bytes, start + 5, end);
    if (splitter.held > 0) socket.unshift(chunk.subarray(chunk.length - splitter.held));
    return password;
  }
}

/** The next bytes; the socket is paused again then. Throws HandshakeEnded. */
function nextBytes(socket: Socket | TLSSocket, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      socket.pause();
      socket.off("data", onData);
      socket.off("close", onGone);
      socket.off("end", onGone);
      signal.removeEventListener("abort", onLate);
    };
    const onData = (bytes: Buffer): void => {
      stop();
      resolve(bytes);
    };
    const onGone = (): void => {
      stop();
      reject(new HandshakeEnded(false));
    };
    const onLate = (): void => {
      stop();
      reject(new HandshakeEnded(true));
    };
    if (socket.destroyed || socket.readableEnded) return onGone();
    if (signal.aborted) return onLate();
    socket.on("data", onData);
    socket.once("close", onGone);
    socket.once("end", onGone);
    signal.addEventListener("abort", onLate, { once: true });
    socket.resume();
  });
}
