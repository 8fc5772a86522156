/**
 * Encoded facts as JSON, driven by the contract's own table: public fields in one text, sensitive ones in another,
 * secret ones in neither. Fields that a newer edge knows and we do not are stepped over; the exact bytes are stored beside.
 */
import { enums, type FieldRow, type FieldType, mapEntries, messages, type Sensitivity } from "../../gen/messages.ts";
import { WireError, WireReader } from "./wire-reader.ts";

interface Field {
  name: string;
  type: FieldType;
  repeated: boolean;
  sensitivity: Sensitivity;
  labels: readonly string[];
  of: Message | undefined;
  map: boolean;
  bytes: BytesForm;
}
interface Message {
  name: string;
  fields: (Field | undefined)[];
}
type Json = Record<string, unknown>;

/** How a field of bytes is shown: digests in hex; text as text; payloads as their length only. */
type BytesForm = "hex" | "text" | "length" | "message";
const bytesForms: Readonly<Record<string, BytesForm>> = {
  "FrameToClient.data": "length",
  "FrameFromClient.data": "length",
  "SignedVerdict.verdict": "message",
  "Verdict.inputs": "text",
  "Parameter.value": "text",
};
const MAX_HEX_BYTES = 1024;

const compiled = new Map<string, Message>();

/** The compiled table of a message, by its name in the contract. */
export function messageOf(name: string): Message {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const rows = messages[name];
  if (rows === undefined) throw new Error(`no message ${name} in the contract`);
  const message: Message = { name, fields: [] };
  compiled.set(name, message);
  for (const row of rows) message.fields[row[0]] = compileField(name, row);
  return message;
}

function compileField(owner: string, [, name, type, of, repeated, sensitivity]: FieldRow): Field {
  const bytes = bytesForms[`${owner}.${name}`] ?? "hex";
  return {
    name,
    type,
    repeated,
    sensitivity,
    labels: type === "enum" ? (enums[of] ?? []) : [],
    of: type === "message" ? messageOf(of) : bytes === "message" ? messageOf("Verdict") : undefined,
    map: mapEntries.includes(of),
    bytes,
  };
}

/** Both halves of a fact; a half without content is the empty text. */
export interface FactJson {
  data: string;
  sensitive: string;
  /** number of the command that the fact is about; 0: none */
  command: number;
}

const reader = new WireReader();

/** @throws WireError when the bytes are not a message of that name */
export function factJson(message: Message, bytes: Buffer, start: number, end: number): FactJson {
  const open: Json = {};
  const hidden: Json = {};
  const hasHidden = readMessage(message, bytes, start, end, open, hidden);
  const command = typeof open["command"] === "number" ? open["command"] : 0;
  return { data: JSON.stringify(open), sensitive: hasHidden ? JSON.stringify(hidden) : "", command };
}

/** Fills `open` and `hidden`; true when anything is in `hidden`. */
function readMessage(message: Message, bytes: Buffer, start: number, end: number, open: Json, hidden: Json): boolean {
  let anyHidden = false;
  let pos = start;
  while (pos < end) {
    reader.over(bytes, pos, end);
    const tag = reader.varint();
    const wireType = tag & 7;
    const field = message.fields[tag >>> 3];
    if (field === undefined || field.sensitivity === "secret") {
      reader.skip(wireType);
      pos = reader.pos;
      continue;
    }
    if (wireType === 2) {
      const length = reader.length();
      const from = reader.pos;
      pos = from + length;
      if (readDelimited(field, bytes, from, pos, open, hidden)) anyHidden = true;
    } else if (wireType === 0 && field.type !== "string" && field.type !== "bytes" && field.type !== "message") {
      const target = field.sensitivity === "public" ? open : hidden;
      put(target, field, scalar(field));
      if (target === hidden) anyHidden = true;
      pos = reader.pos;
    } else throw new WireError(`${message.name}.${field.name} has wire type ${wireType}`);
  }
  return anyHidden;
}

function readDelimited(field: Field, bytes: Buffer, from: number, to: number, open: Json, hidden: Json): boolean {
  if (field.of !== undefined) return readNested(field, field.of, bytes, from, to, open, hidden);
  const target = field.sensitivity === "public" ? open : hidden;
  if (field.type === "string") put(target, field, bytes.toString("utf8", from, to));
  else if (field.type === "bytes") {
    if (field.bytes === "length") {
      open[`${field.name}_bytes`] = to - from;
      return false;
    }
    put(target, field, bytesText(field.bytes, bytes, from, to));
  } else {
    // packed numbers
    reader.over(bytes, from, to);
    while (reader.pos < to) put(target, field, scalar(field));
  }
  return target === hidden;
}

function readNested(
  field: Field,
  of: Message,
  bytes: Buffer,
  from: number,
  to: number,
  open: Json,
  hidden: Json,
): boolean {
  const innerOpen: Json = {};
  const innerHidden: Json = {};
  if (field.map) {
    const target = field.sensitivity === "public" ? open : hidden;
    const [key, value] = readMapEntry(bytes, from, to);
    // null prototype: a key named __proto__ is a key like any other
    const map = (target[field.name] ??= Object.create(null)) as Record<string, string>;
    map[key] = value;
    return target === hidden;
  }
  const anyHidden = readMessage(of, bytes, from, to, innerOpen, innerHidden);
  put(open, field, innerOpen);
  // halves of a list stay aligned: an element without sensitive fields has an empty object there
  if (anyHidden || (field.repeated && hidden[field.name] !== undefined)) {
    if (field.repeated) {
      const list = (hidden[field.name] ??= []) as unknown[];
      const index = (open[field.name] as unknown[]).length - 1;
      while (list.length < index) list.push({});
      list.push(innerHidden);
    } else put(hidden, field, innerHidden);
  }
  return anyHidden;
}

/** Maps of the contract are of text to text. */
function readMapEntry(bytes: Buffer, from: number, to: number): [string, string] {
  let key = "";
  let value = "";
  reader.over(bytes, from, to);
  while (reader.pos < to) {
    const tag = reader.varint();
    if ((tag & 7) !== 2) {
      reader.skip(tag & 7);
      continue;
    }
    const length = reader.length();
    const text = bytes.toString("utf8", reader.pos, reader.pos + length);
    reader.pos += length;
    if (tag >>> 3 === 1) key = text;
    else if (tag >>> 3 === 2) value = text;
  }
  return [key, value];
}

function scalar(field: Field): number | boolean | string {
  if (field.type === "int") return reader.signedVarint();
  const value = reader.varint();
  if (field.type === "bool") return value !== 0;
  if (field.type === "enum") return field.labels[value] ?? String(value);
  return value;
}

function bytesText(form: BytesForm, bytes: Buffer, from: number, to: number): string {
  if (form === "text") {
    const part = bytes.subarray(from, to);
    const text = part.toString("utf8");
    return text.includes("\ufffd") ? `\\x${part.toString("hex")}` : text;
  }
  return bytes.toString("hex", from, Math.min(to, from + MAX_HEX_BYTES));
}

function put(target: Json, field: Field, value: unknown): void {
  if (field.repeated) ((target[field.name] ??= []) as unknown[]).push(value);
  else target[field.name] = value;
}
