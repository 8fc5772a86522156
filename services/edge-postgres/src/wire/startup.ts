import { isUtf8 } from "node:buffer";
import { BodyReader } from "./body-reader.ts";
import { WireFault } from "./fault.ts";

/**
 * The packets that come before anything else have no type byte (section 54.2.1):
 *
 *     int32   length, counting itself
 *     int32   80877103 SSLRequest | 80877104 GSSENCRequest | 80877102 CancelRequest | protocol version
 */
export const SSL_REQUEST = 80_877_103;
export const GSSENC_REQUEST = 80_877_104;
export const CANCEL_REQUEST = 80_877_102;

/** ALPN name of direct TLS (section 54.2.10, "sslnegotiation=direct"). */
export const ALPN = "postgresql";
/** First byte of a TLS record of type handshake; no startup packet of legal length begins with it. */
export const TLS_HANDSHAKE = 0x16;

export const PROTOCOL_3_0 = 0x0003_0000;
export const PROTOCOL_3_2 = 0x0003_0002;

/** The server's own bound (MAX_STARTUP_PACKET_LENGTH). */
export const LARGEST_STARTUP = 10_000;
const MAX_PARAMETERS = 64;

export type StartupPacket =
  | { kind: "ssl-request" }
  | { kind: "gssenc-request" }
  | { kind: "cancel"; processId: number; secret: Buffer }
  | { kind: "startup"; major: number; minor: number; parameters: Map<string, string> };

/** Length of the packet that begins at the start of `bytes`; undefined: not enough bytes yet. */
export function startupLength(bytes: Buffer): number | undefined {
  if (bytes.length < 4) return undefined;
  const length = bytes.readUInt32BE(0);
  if (length < 8 || length > LARGEST_STARTUP) throw new WireFault("invalid length of startup packet");
  return length;
}

/**
 * `packet`: exactly one packet. CancelRequest: int32 process id, then the secret key: 4 bytes in protocol 3.0, 4 to 256
 * in 3.2. StartupMessage: name and value strings in turn, then one zero byte.
 */
export function decodeStartup(packet: Buffer): StartupPacket {
  const reader = new BodyReader("startup packet", packet, 4, packet.length);
  const code = reader.uint32();
  switch (code) {
    case SSL_REQUEST:
      reader.done();
      return { kind: "ssl-request" };
    case GSSENC_REQUEST:
      reader.done();
      return { kind: "gssenc-request" };
    case CANCEL_REQUEST: {
      const processId = reader.uint32();
      if (reader.left < 4 || reader.left > 256) throw reader.fault("secret key of a wrong length");
      return { kind: "cancel", processId, secret: Buffer.from(reader.take(reader.left)) };
    }
    default:
      return decodeParameters(reader, packet, code);
  }
}

function decodeParameters(reader: BodyReader, packet: Buffer, version: number): StartupPacket {
  const major = version >>> 16;
  const minor = version & 0xffff;
  if (major !== 3) throw new WireFault(`unsupported protocol version ${major}.${minor}`, "0A000");
  if (!isUtf8(packet.subarray(8))) throw new WireFault("startup packet: text is not valid UTF-8", "22021");
  const parameters = new Map<string, string>();
  for (;;) {
    const name = reader.text();
    if (name === "") break;
    if (parameters.has(name)) throw reader.fault("a parameter is given twice");
    if (parameters.size >= MAX_PARAMETERS) throw reader.fault("too many parameters");
    parameters.set(name, reader.text());
  }
  reader.done();
  return { kind: "startup", major, minor, parameters };
}

export function encodeSslRequest(): Buffer {
  const packet = Buffer.allocUnsafe(8);
  packet.writeUInt32BE(8, 0);
  packet.writeUInt32BE(SSL_REQUEST, 4);
  return packet;
}

export function encodeCancelRequest(processId: number, secret: Buffer): Buffer {
  const packet = Buffer.allocUnsafe(12 + secret.length);
  packet.writeUInt32BE(packet.length, 0);
  packet.writeUInt32BE(CANCEL_REQUEST, 4);
  packet.writeUInt32BE(processId >>> 0, 8);
  secret.copy(packet, 12);
  return packet;
}

export function encodeStartup(version: number, parameters: Iterable<readonly [string, string]>): Buffer {
  const parts: string[] = [];
  for (const [name, value] of parameters) parts.push(name, value);
  const body = Buffer.from(parts.map((p) => `${p}\0`).join("") + "\0", "utf8");
  const packet = Buffer.allocUnsafe(8 + body.length);
  packet.writeUInt32BE(packet.length, 0);
  packet.writeUInt32BE(version, 4);
  body.copy(packet, 8);
  return packet;
}
