import { BodyReader } from "./body-reader.ts";

/**
 * Decoders of what a client sends (section 54.7). `bytes[at, end)` is a message's body: what follows type and length.
 * A wrong body throws WireFault. Buffers in the results are views of the input.
 */

/** Query: string text, as UTF-8. Several statements may stand in it. */
export function decodeQuery(bytes: Buffer, at: number, end: number): Buffer {
  const reader = new BodyReader("Query", bytes, at, end);
  const text = reader.textBytes();
  reader.done();
  return text;
}

export interface Parse {
  readonly statement: string;
  /** UTF-8 */
  readonly text: Buffer;
  readonly parameterTypes: number[];
}

/** Parse: string statement name, string text, int16 n, n × int32 type oid (0: unspecified). */
export function decodeParse(bytes: Buffer, at: number, end: number): Parse {
  const reader = new BodyReader("Parse", bytes, at, end);
  const statement = reader.name();
  const text = reader.textBytes();
  const count = reader.counted(reader.uint16(), 4);
  const parameterTypes: number[] = [];
  for (let i = 0; i < count; i++) parameterTypes.push(reader.uint32());
  reader.done();
  return { statement, text, parameterTypes };
}

export interface Bind {
  readonly portal: string;
  readonly statement: string;
  /** 0 text, 1 binary; none: all text; one: for all; else one each */
  readonly parameterFormats: number[];
  /** undefined: NULL */
  readonly parameters: (Buffer | undefined)[];
  /** as parameterFormats */
  readonly resultFormats: number[];
}

/**
 * Bind: string portal, string statement, int16 n, n × int16 format, int16 m, m × (int32 length (-1: NULL), bytes),
 * int16 r, r × int16 result format.
 */
export function decodeBind(bytes: Buffer, at: number, end: number): Bind {
  const reader = new BodyReader("Bind", bytes, at, end);
  const portal = reader.name();
  const statement = reader.name();
  const parameterFormats = formats(reader);
  const count = reader.counted(reader.uint16(), 4);
  const parameters: (Buffer | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const length = reader.int32();
    if (length < -1) throw reader.fault("negative length of a parameter");
    parameters.push(length === -1 ? undefined : reader.take(length));
  }
  const resultFormats = formats(reader);
  reader.done();
  if (parameterFormats.length > 1 && parameterFormats.length !== count) {
    throw reader.fault(`${parameterFormats.length} formats for ${count} parameters`);
  }
  return { portal, statement, parameterFormats, parameters, resultFormats };
}

/** Is the format at `index` binary? How the lists of Bind and the data formats of PostgreSQL are read. */
export function isBinary(list: readonly number[], index: number): boolean {
  return (list.length === 1 ? list[0] : list[index]) === 1;
}

export interface Named {
  readonly of: "statement" | "portal";
  readonly name: string;
}

/** Describe and Close: byte `S` or `P`, string name. */
export function decodeNamed(what: "Describe" | "Close", bytes: Buffer, at: number, end: number): Named {
  const reader = new BodyReader(what, bytes, at, end);
  const kind = reader.byte();
  if (kind !== 0x53 && kind !== 0x50) throw reader.fault("neither a statement nor a portal");
  const name = reader.name();
  reader.done();
  return { of: kind === 0x53 ? "statement" : "portal", name };
}

/** Execute: string portal, int32 maximum of rows (0: all). */
export function decodeExecute(bytes: Buffer, at: number, end: number): { portal: string; maxRows: number } {
  const reader = new BodyReader("Execute", bytes, at, end);
  const portal = reader.name();
  const maxRows = reader.int32();
  reader.done();
  return { portal, maxRows };
}

export interface FunctionCall {
  readonly functionOid: number;
  readonly argumentFormats: number[];
  readonly arguments: (Buffer | undefined)[];
  readonly resultFormat: number;
}

/** FunctionCall: int32 oid, int16 n, n × int16 format, int16 m, m × (int32 length (-1: NULL), bytes), int16 format. */
export function decodeFunctionCall(bytes: Buffer, at: number, end: number): FunctionCall {
  const reader = new BodyReader("FunctionCall", bytes, at, end);
  const functionOid = reader.uint32();
  const argumentFormats = formats(reader);
  const count = reader.counted(reader.uint16(), 4);
  const values: (Buffer | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const length = reader.int32();
    if (length < -1) throw reader.fault("negative length of an argument");
    values.push(length === -1 ? undefined : reader.take(length));
  }
  const resultFormat = reader.uint16();
  reader.done();
  return { functionOid, argumentFormats, arguments: values, resultFormat };
}

/** PasswordMessage: string. Also the carrier of SASL answers, whose bodies are read elsewhere. */
export function decodePassword(bytes: Buffer, at: number, end: number): string {
  const reader = new BodyReader("PasswordMessage", bytes, at, end);
  const password = reader.text();
  reader.done();
  return password;
}

/** CopyFail: string reason. */
export function decodeCopyFail(bytes: Buffer, at: number, end: number): string {
  const reader = new BodyReader("CopyFail", bytes, at, end);
  const reason = reader.text();
  reader.done();
  return reason;
}

function formats(reader: BodyReader): number[] {
  const count = reader.counted(reader.uint16(), 2);
  const list: number[] = [];
  for (let i = 0; i < count; i++) {
    const format = reader.uint16();
    if (format > 1) throw reader.fault(`unknown format ${format}`);
    list.push(format);
  }
  return list;
}
