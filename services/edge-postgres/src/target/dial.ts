import { X509Certificate, createHash } from "node:crypto";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import { resolveSecret, type Secret } from "@sallyport/runtime";
import type { Connection, TargetRole, TargetTls } from "@sallyport/proto/catalog_model";
import { ALPN, encodeSslRequest } from "../wire/startup.ts";
import type { ChannelBinding } from "./scram.ts";
import { TargetFault } from "./target-fault.ts";

/**
 * How a target is reached. An interface, so that connectors near private targets can be added: whoever dials hands back
 * a stream that speaks PostgreSQL, already in TLS when the connection wants that.
 */
export type Dial = (connection: Connection, role: TargetRole, signal: AbortSignal) => Promise<Dialled>;

export interface Dialled {
  readonly socket: Socket | TLSSocket;
  /** host:port */
  readonly address: string;
  /** version and cipher; empty: none */
  readonly tls: string;
  readonly binding: ChannelBinding;
}

export const dialDirectly: Dial = async (connection, role, signal) => {
  const address = `${connection.host}:${connection.port}`;
  const options = await tlsOptions(connection, role);
  const plain = await connected(connection.host, connection.port, address, signal);
  if (options === undefined) return { socket: plain, address, tls: "", binding: { kind: "none" } };
  try {
    await askForTls(plain, address, signal);
    const secured = await upgraded(plain, options, address, signal);
    const cipher = secured.getCipher();
    return {
      socket: secured,
      address,
      tls: `${secured.getProtocol() ?? "unknown"} ${cipher.standardName}`,
      binding: serverEndPoint(secured),
    };
  } catch (error) {
    plain.destroy();
    throw error;
  }
};

/** Options of the TLS session; undefined: mode `disable`. `require` encrypts and checks nothing, as in libpq. */
async function tlsOptions(connection: Connection, role: TargetRole): Promise<ConnectionOptions | undefined> {
  const tls: TargetTls = connection.tls ?? { mode: "disable", caRef: "", serverName: "" };
  const mode = tls.mode === "" ? "disable" : tls.mode;
  if (mode === "disable") return undefined;
  if (mode !== "require" && mode !== "verify-ca" && mode !== "verify-full") {
    throw new TargetFault("invalid-input", `connection ${connection.name}: unknown TLS mode`);
  }
  const [ca, cert, key] = await Promise.all([
    optional(tls.caRef, "the target's CA"),
    optional(role.clientCertRef, "the target's client certificate"),
    optional(role.clientKeyRef, "the target's client key"),
  ]);
  const serverName = tls.serverName === "" ? connection.host : tls.serverName;
  return {
    ALPNProtocols: [ALPN],
    minVersion: "TLSv1.2",
    rejectUnauthorized: mode !== "require",
    ...(isAddress(serverName) ? {} : { servername: serverName }),
    ...(ca === undefined ? {} : { ca: ca.expose() }),
    ...(cert === undefined ? {} : { cert: cert.expose() }),
    ...(key === undefined ? {} : { key: key.expose() }),
    // Only the chain counts in verify-ca; in verify-full the name that we dial must stand in the certificate.
    ...(mode === "verify-ca" ? { checkServerIdentity: () => undefined } : {}),
    ...(mode === "verify-full" ? { host: serverName } : {}),
  };
}

const isAddress = (host: string): boolean => /^[\d.]+$|:/.test(host);

async function optional(reference: string, what: string): Promise<Secret | undefined> {
  return reference === "" ? undefined : await resolveSecret(reference, what);
}

/** An error between two waits must not end the process: `close` follows it, and whoever waits next sees that. */
function harmless(socket: Socket): void {
  socket.on("error", () => {});
}

/** Resolves with the event's argument; rejects on error, close or abort, and then destroys the socket. */
function settled<T>(socket: Socket, event: string, address: string, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      socket.off(event, onEvent);
      socket.off("error", onError);
      socket.off("close", onClose);
      signal.removeEventListener("abort", onAbort);
    };
    const fail = (fault: TargetFault): void => {
      stop();
      socket.destroy();
      reject(fault);
    };
    const onEvent = (value: T): void => {
      stop();
      resolve(value);
    };
    const onError = (cause: Error): void =>
      fail(new TargetFault("unavailable", `${address}: ${reasonOf(cause)}`, { cause }));
    const onClose = (): void => fail(new TargetFault("unavailable", `${address}: the target closed the connection`));
    const onAbort = (): void => fail(new TargetFault("deadline", `${address}: no answer in time`));
    socket.once(event, onEvent);
    socket.once("error", onError);
    socket.once("close", onClose);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

function reasonOf(error: Error & { code?: string }): string {
  switch (error.code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host name cannot be resolved";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no route to the host";
    case "ETIMEDOUT":
      return "no answer in time";
    case "ECONNRESET":
    case "EPIPE":
      return "the target closed the connection";
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return "the certificate is for another name";
    default:
      if (/^(CERT|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|CRL|INVALID_CA)/.test(error.code ?? "")) {
        return `the certificate is not trusted (${error.code})`;
      }
      return error.code === undefined ? "cannot be reached" : `cannot be reached (${error.code})`;
  }
}

async function connected(host: string, port: number, address: string, signal: AbortSignal): Promise<Socket> {
  const socket = connectTcp({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 });
  harmless(socket);
  await settled(socket, "connect", address, signal);
  return socket;
}

/** SSLRequest: the server answers one byte, `S` or `N`, and nothing else may come before the TLS handshake. */
async function askForTls(socket: Socket, address: string, signal: AbortSignal): Promise<void> {
  socket.write(encodeSslRequest());
  const answer = await settled<Buffer>(socket, "data", address, signal);
  socket.pause();
  if (answer.length === 1 && answer[0] === 0x53) return;
  if (answer.length === 1 && answer[0] === 0x4e)
    throw new TargetFault("failed-precondition", `${address}: the target offers no TLS`);
  // More bytes than one: somebody in between put words into the server's mouth (CVE-2021-23222).
  throw new TargetFault("unavailable", `${address}: unexpected answer to the request for TLS`);
}

async function upgraded(
  socket: Socket,
  options: ConnectionOptions,
  address: string,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const secured = connectTls({ ...options, socket });
  harmless(secured);
  await settled(secured, "secureConnect", address, signal);
  return secured;
}

/** `tls-server-end-point` (RFC 5929 section 4.1): the certificate's hash, by its signature's algorithm, SHA-256 at least. */
function serverEndPoint(socket: TLSSocket): ChannelBinding {
  const raw = socket.getPeerCertificate(false).raw as Buffer | undefined;
  if (raw === undefined) return { kind: "none" };
  const algorithm = /sha-?(256|384|512)/i.exec(new X509Certificate(raw).signatureAlgorithm ?? "")?.[1];
  // An algorithm without one hash of its own (Ed25519) has no defined binding: do as a client that has none.
  if (algorithm === undefined && !/sha-?1|md5/i.test(new X509Certificate(raw).signatureAlgorithm ?? ""))
    return { kind: "none" };
  return {
    kind: "bound",
    data: createHash(`sha${algorithm ?? "256"}`)
      .update(raw)
      .digest(),
  };
}
