import { Backend } from "./message-table.ts";
import type { TransactionStatus } from "./backend.ts";

/**
 * Encoders of what the gateway itself says to a client. Layouts: see the decoders. What it says to a target, as a client
 * of its own, `pg-protocol`'s serializer writes.
 */

function message(type: number, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(5 + body.length);
  bytes[0] = type;
  bytes.writeUInt32BE(4 + body.length, 1);
  body.copy(bytes, 5);
  return bytes;
}

const text = (...strings: readonly string[]): Buffer => Buffer.from(strings.map((s) => `${s}\0`).join(""), "utf8");
/** A zero byte would end a string early. */
const clean = (value: string): string => value.replaceAll("\0", "�");

function int32(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  values.forEach((value, i) => bytes.writeUInt32BE(value >>> 0, 4 * i));
  return bytes;
}

export const AUTHENTICATION_OK = message(Backend.authentication, int32(0));
export const AUTHENTICATION_CLEARTEXT = message(Backend.authentication, int32(3));

const ready = (status: TransactionStatus): Buffer => message(Backend.readyForQuery, Buffer.from(status));
export const READY: Readonly<Record<TransactionStatus, Buffer>> = { I: ready("I"), T: ready("T"), E: ready("E") };

export const encodeParameterStatus = (name: string, value: string): Buffer =>
  message(Backend.parameterStatus, text(clean(name), clean(value)));

export const encodeBackendKeyData = (processId: number, secret: Buffer): Buffer =>
  message(Backend.backendKeyData, Buffer.concat([int32(processId), secret]));

/** `minor`: the newest minor version of major 3 that is spoken here; `unknown`: `_pq_.` options that are not. */
export const encodeNegotiateProtocolVersion = (version: number, unknown: readonly string[]): Buffer =>
  message(Backend.negotiateProtocolVersion, Buffer.concat([int32(version, unknown.length), text(...unknown)]));

export const encodeNotification = (processId: number, channel: string, payload: string): Buffer =>
  message(Backend.notificationResponse, Buffer.concat([int32(processId), text(channel, payload)]));

export interface Report {
  readonly severity: "ERROR" | "FATAL" | "PANIC" | "WARNING" | "NOTICE" | "DEBUG" | "INFO" | "LOG";
  /** five characters, see the README's table */
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** of a character in the statement, from 1 */
  readonly position?: string | undefined;
}

/** ErrorResponse for ERROR, FATAL and PANIC, else NoticeResponse. */
export function encodeReport(report: Report): Buffer {
  const fields = [`S${report.severity}`, `V${report.severity}`, `C${report.sqlstate}`, `M${clean(report.message)}`];
  if (report.detail !== undefined && report.detail !== "") fields.push(`D${clean(report.detail)}`);
  if (report.hint !== undefined && report.hint !== "") fields.push(`H${clean(report.hint)}`);
  if (report.position !== undefined) fields.push(`P${report.position}`);
  const isError = report.severity === "ERROR" || report.severity === "FATAL" || report.severity === "PANIC";
  return message(
    isError ? Backend.errorResponse : Backend.noticeResponse,
    Buffer.concat([text(...fields), Buffer.alloc(1)]),
  );
}
