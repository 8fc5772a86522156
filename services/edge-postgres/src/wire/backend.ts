import { BodyReader } from "./body-reader.ts";
import { WireFault } from "./fault.ts";

/**
 * Decoders of what a server sends (section 54.7). `bytes[at, end)` is a message's body: what follows type and length.
 * A wrong body throws WireFault. Buffers in the results are views of the input.
 */

export interface FieldDescription {
  readonly name: string;
  /** 0: not a column of a table */
  readonly tableOid: number;
  /** 0: none, or the whole row; negative: system column */
  readonly columnNumber: number;
  readonly typeOid: number;
  readonly typeSize: number;
  readonly typeModifier: number;
  readonly binary: boolean;
}

/**
 * RowDescription: int16 n, n × (string name, int32 table oid, int16 column number, int32 type oid, int16 type size,
 * int32 type modifier, int16 format).
 */
export function decodeRowDescription(bytes: Buffer, at: number, end: number): FieldDescription[] {
  const reader = new BodyReader("RowDescription", bytes, at, end);
  const count = reader.counted(reader.uint16(), 19);
  const fields: FieldDescription[] = [];
  for (let i = 0; i < count; i++) {
    fields.push({
      name: reader.text(),
      tableOid: reader.uint32(),
      columnNumber: reader.int16(),
      typeOid: reader.uint32(),
      typeSize: reader.int16(),
      typeModifier: reader.int32(),
      binary: reader.uint16() === 1,
    });
  }
  reader.done();
  return fields;
}

/** Where the cells of one DataRow lie: `starts[i]`, `lengths[i]` (-1: NULL). Grown as needed and used again. */
export interface CellPlaces {
  count: number;
  starts: Int32Array;
  lengths: Int32Array;
}

export const cellPlaces = (): CellPlaces => ({ count: 0, starts: new Int32Array(64), lengths: new Int32Array(64) });

/**
 * DataRow: int16 n, n × (int32 length (-1: NULL), bytes). Fills `places`; allocates nothing. The hot path of every masked
 * result, so it reads by hand what the other decoders leave to BodyReader.
 */
export function decodeDataRow(bytes: Buffer, start: number, end: number, places: CellPlaces): void {
  if (end - start < 2 || end > bytes.length) throw new WireFault("DataRow: ends too early");
  const count = ((bytes[start] as number) << 8) | (bytes[start + 1] as number);
  let at = start + 2;
  if (count * 4 > end - at) throw new WireFault(`DataRow: ${count} entries do not fit`);
  if (places.starts.length < count) {
    places.starts = new Int32Array(count);
    places.lengths = new Int32Array(count);
  }
  places.count = count;
  const { starts, lengths } = places;
  for (let i = 0; i < count; i++) {
    if (at + 4 > end) throw new WireFault("DataRow: ends too early");
    const length = int32At(bytes, at);
    at += 4;
    if (length < -1 || length > end - at) throw new WireFault("DataRow: a cell is longer than its row");
    starts[i] = at;
    lengths[i] = length;
    if (length > 0) at += length;
  }
  if (at !== end) throw new WireFault(`DataRow: ${end - at} bytes too many`);
}

/** Signed; the caller has checked that it is there. */
const int32At = (bytes: Buffer, at: number): number =>
  ((bytes[at] as number) << 24) |
  ((bytes[at + 1] as number) << 16) |
  ((bytes[at + 2] as number) << 8) |
  (bytes[at + 3] as number);

/** CommandComplete: string tag (`SELECT 5`, `INSERT 0 1`). */
export function decodeCommandComplete(bytes: Buffer, at: number, end: number): string {
  const reader = new BodyReader("CommandComplete", bytes, at, end);
  const tag = reader.text();
  reader.done();
  return tag;
}

/** The last number of a tag: rows affected or returned; 0 where there is none. */
export function rowsOfTag(tag: string): number {
  const digits = /(?:^| )(\d{1,15})$/.exec(tag);
  return digits === null ? 0 : Number(digits[1]);
}

/** Fields of ErrorResponse and NoticeResponse by their one-letter code (section 54.8). */
export type MessageFields = Map<string, string>;

/**
 * ErrorResponse, NoticeResponse: (byte code, string value) in turn, then one zero byte. Text that is not UTF-8 (a
 * server that fails before it knows the client's encoding) is read leniently.
 */
export function decodeFields(bytes: Buffer, at: number, end: number): MessageFields {
  const reader = new BodyReader("ErrorResponse or NoticeResponse", bytes, at, end);
  const fields: MessageFields = new Map();
  for (;;) {
    const code = reader.byte();
    if (code === 0) break;
    const zero = bytes.indexOf(0, reader.at);
    if (zero < 0 || zero >= end) throw reader.fault("string without its end");
    fields.set(String.fromCharCode(code), bytes.toString("utf8", reader.at, zero));
    reader.at = zero + 1;
  }
  reader.done();
  return fields;
}

/** ParameterStatus: string name, string value. */
export function decodeParameterStatus(bytes: Buffer, at: number, end: number): { name: string; value: string } {
  const reader = new BodyReader("ParameterStatus", bytes, at, end);
  const name = reader.text();
  const value = reader.text();
  reader.done();
  return { name, value };
}

/** idle, in a transaction, in a failed transaction */
export type TransactionStatus = "I" | "T" | "E";

/** ReadyForQuery: byte status. */
export function decodeReadyForQuery(bytes: Buffer, at: number, end: number): TransactionStatus {
  const reader = new BodyReader("ReadyForQuery", bytes, at, end);
  const status = String.fromCharCode(reader.byte());
  reader.done();
  if (status !== "I" && status !== "T" && status !== "E") throw reader.fault("unknown transaction status");
  return status;
}

export interface CopyResponse {
  readonly binary: boolean;
  readonly columnFormats: number[];
}

/** CopyInResponse, CopyOutResponse, CopyBothResponse: byte format, int16 n, n × int16 column format. */
export function decodeCopyResponse(bytes: Buffer, at: number, end: number): CopyResponse {
  const reader = new BodyReader("CopyResponse", bytes, at, end);
  const format = reader.byte();
  if (format > 1) throw reader.fault(`unknown format ${format}`);
  const count = reader.counted(reader.uint16(), 2);
  const columnFormats: number[] = [];
  for (let i = 0; i < count; i++) columnFormats.push(reader.uint16());
  reader.done();
  return { binary: format === 1, columnFormats };
}

/** NotificationResponse: int32 process id, string channel, string payload. */
export function decodeNotification(
  bytes: Buffer,
  at: number,
  end: number,
): { processId: number; channel: string; payload: string } {
  const reader = new BodyReader("NotificationResponse", bytes, at, end);
  const processId = reader.uint32();
  const channel = reader.text();
  const payload = reader.text();
  reader.done();
  return { processId, channel, payload };
}

/** BackendKeyData: int32 process id, 1 to 256 bytes of secret key (4 in protocol 3.0). */
export function decodeBackendKeyData(bytes: Buffer, at: number, end: number): { processId: number; secret: Buffer } {
  const reader = new BodyReader("BackendKeyData", bytes, at, end);
  const processId = reader.uint32();
  return { processId, secret: Buffer.from(reader.take(reader.left)) };
}

/** ParameterDescription: int16 n, n × int32 type oid. */
export function decodeParameterDescription(bytes: Buffer, at: number, end: number): number[] {
  const reader = new BodyReader("ParameterDescription", bytes, at, end);
  const count = reader.counted(reader.uint16(), 4);
  const types: number[] = [];
  for (let i = 0; i < count; i++) types.push(reader.uint32());
  reader.done();
  return types;
}

export type Authentication =
  | { kind: "ok" }
  | { kind: "cleartext" }
  | { kind: "md5"; salt: Buffer }
  | { kind: "sasl"; mechanisms: string[] }
  | { kind: "sasl-continue"; data: Buffer }
  | { kind: "sasl-final"; data: Buffer }
  | { kind: "unsupported"; code: number };

/** Authentication…: int32 code, then what the code needs: 5 MD5 four bytes of salt, 10 SASL names and a zero byte. */
export function decodeAuthentication(bytes: Buffer, at: number, end: number): Authentication {
  const reader = new BodyReader("Authentication", bytes, at, end);
  const code = reader.uint32();
  switch (code) {
    case 0:
      return { kind: "ok" };
    case 3:
      return { kind: "cleartext" };
    case 5:
      return { kind: "md5", salt: Buffer.from(reader.take(4)) };
    case 10: {
      const mechanisms: string[] = [];
      for (let name = reader.text(); name !== ""; name = reader.text()) mechanisms.push(name);
      return { kind: "sasl", mechanisms };
    }
    case 11:
      return { kind: "sasl-continue", data: Buffer.from(reader.take(reader.left)) };
    case 12:
      return { kind: "sasl-final", data: Buffer.from(reader.take(reader.left)) };
    default:
      return { kind: "unsupported", code };
  }
}
