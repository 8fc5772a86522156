/**
 * The bodies of hot records, written by hand: their size first, then the bytes, straight into the batch. Field tags are
 * those of record.proto; `facts.unit.test.ts` compares every one with the generated code.
 */
import type { Parameter } from "@sallyport/proto/record";
import { bytesFieldSize, varintFieldSize, varintSize, writeBytesField, writeVarint, writeVarintField } from "./wire.ts";

const EMPTY = new Uint8Array(0);
const VARINT = 0;
const LENGTH_DELIMITED = 2;
const tag = (field: number, wireType: number): number => (field << 3) | wireType;

/** Short texts that come again and again (unit names, verdict ids, tags of commands) as bytes. */
const interned = new Map<string, Uint8Array>();
export function utf8(text: string): Uint8Array {
  if (text.length === 0) return EMPTY;
  if (text.length > 64) return Buffer.from(text, "utf8");
  const known = interned.get(text);
  if (known !== undefined) return known;
  if (interned.size >= 4096) interned.clear();
  const bytes = Buffer.from(text, "utf8");
  interned.set(text, bytes);
  return bytes;
}

export interface AdmittedFact {
  command: number;
  verdictId: Uint8Array;
  approvalId: Uint8Array;
  unit: Uint8Array;
  text: Uint8Array;
  statementName: Uint8Array;
  portalName: Uint8Array;
  parameters: readonly Parameter[];
  resultFormats: readonly number[];
  traceId: Uint8Array;
  /** 0 unless the text stands in FrameFromClient records */
  textLength: number;
  parameterLengths: readonly number[];
}

function parameterSize(parameter: Parameter): number {
  const value = parameter.value;
  return (
    varintFieldSize(parameter.typeOid) +
    (parameter.binary ? 2 : 0) +
    (value === undefined ? 0 : 1 + varintSize(value.length) + value.length)
  );
}

function packedSize(values: readonly number[]): number {
  let size = 0;
  for (const value of values) size += varintSize(value);
  return size;
}

function writePacked(out: Uint8Array, start: number, field: number, values: readonly number[]): number {
  if (values.length === 0) return start;
  out[start] = field;
  let at = writeVarint(out, start + 1, packedSize(values));
  for (const value of values) at = writeVarint(out, at, value);
  return at;
}

export function admittedSize(fact: AdmittedFact): number {
  let size =
    varintFieldSize(fact.command) +
    bytesFieldSize(fact.verdictId.length) +
    bytesFieldSize(fact.approvalId.length) +
    bytesFieldSize(fact.unit.length) +
    bytesFieldSize(fact.text.length) +
    bytesFieldSize(fact.statementName.length) +
    bytesFieldSize(fact.portalName.length) +
    bytesFieldSize(fact.traceId.length) +
    varintFieldSize(fact.textLength);
  for (const parameter of fact.parameters) {
    const inner = parameterSize(parameter);
    size += 1 + varintSize(inner) + inner;
  }
  if (fact.resultFormats.length > 0) size += bytesFieldSize(packedSize(fact.resultFormats));
  if (fact.parameterLengths.length > 0) size += bytesFieldSize(packedSize(fact.parameterLengths));
  return size;
}

export function writeAdmitted(out: Uint8Array, start: number, fact: AdmittedFact): number {
  let at = writeVarintField(out, start, tag(1, VARINT), fact.command);
  at = writeBytesField(out, at, tag(2, LENGTH_DELIMITED), fact.verdictId);
  at = writeBytesField(out, at, tag(3, LENGTH_DELIMITED), fact.approvalId);
  at = writeBytesField(out, at, tag(4, LENGTH_DELIMITED), fact.unit);
  at = writeBytesField(out, at, tag(5, LENGTH_DELIMITED), fact.text);
  at = writeBytesField(out, at, tag(6, LENGTH_DELIMITED), fact.statementName);
  at = writeBytesField(out, at, tag(7, LENGTH_DELIMITED), fact.portalName);
  for (const parameter of fact.parameters) {
    out[at] = tag(8, LENGTH_DELIMITED);
    at = writeVarint(out, at + 1, parameterSize(parameter));
    at = writeVarintField(out, at, tag(1, VARINT), parameter.typeOid);
    at = writeVarintField(out, at, tag(2, VARINT), parameter.binary ? 1 : 0);
    if (parameter.value !== undefined) {
      // present though empty: an empty value is not NULL
      out[at] = tag(3, LENGTH_DELIMITED);
      at = writeVarint(out, at + 1, parameter.value.length);
      out.set(parameter.value, at);
      at += parameter.value.length;
    }
  }
  at = writePacked(out, at, tag(9, LENGTH_DELIMITED), fact.resultFormats);
  at = writeBytesField(out, at, tag(10, LENGTH_DELIMITED), fact.traceId);
  at = writeVarintField(out, at, tag(11, VARINT), fact.textLength);
  return writePacked(out, at, tag(12, LENGTH_DELIMITED), fact.parameterLengths);
}

export interface CompletedFact {
  command: number;
  status: number;
  code: Uint8Array;
  tag: Uint8Array;
  rows: number;
  bytesToClient: number;
  durationUs: number;
  waitUs: number;
}

export function completedSize(fact: CompletedFact): number {
  return (
    varintFieldSize(fact.command) +
    varintFieldSize(fact.status) +
    bytesFieldSize(fact.code.length) +
    bytesFieldSize(fact.tag.length) +
    varintFieldSize(fact.rows) +
    varintFieldSize(fact.bytesToClient) +
    varintFieldSize(fact.durationUs) +
    varintFieldSize(fact.waitUs)
  );
}

export function writeCompleted(out: Uint8Array, start: number, fact: CompletedFact): number {
  let at = writeVarintField(out, start, tag(1, VARINT), fact.command);
  at = writeVarintField(out, at, tag(2, VARINT), fact.status);
  at = writeBytesField(out, at, tag(3, LENGTH_DELIMITED), fact.code);
  at = writeBytesField(out, at, tag(4, LENGTH_DELIMITED), fact.tag);
  at = writeVarintField(out, at, tag(5, VARINT), fact.rows);
  at = writeVarintField(out, at, tag(6, VARINT), fact.bytesToClient);
  at = writeVarintField(out, at, tag(7, VARINT), fact.durationUs);
  return writeVarintField(out, at, tag(8, VARINT), fact.waitUs);
}

export function forwardedSize(command: number): number {
  return varintFieldSize(command);
}

export function writeForwarded(out: Uint8Array, at: number, command: number): number {
  return writeVarintField(out, at, tag(1, VARINT), command);
}

/** FrameToClient and FrameFromClient: the same layout, but for the encoded columns (field 3, tags included). */
export function frameSize(command: number, dataLength: number, columns: Uint8Array): number {
  return varintFieldSize(command) + bytesFieldSize(dataLength) + columns.length;
}

export function writeFrame(
  out: Uint8Array,
  start: number,
  command: number,
  data: Uint8Array,
  columns: Uint8Array,
): number {
  let at = writeVarintField(out, start, tag(1, VARINT), command);
  at = writeBytesField(out, at, tag(2, LENGTH_DELIMITED), data);
  out.set(columns, at);
  return at + columns.length;
}
