/**
 * What a client says, as data: the letter of the message (section 54.7), then its fields. A parameter or COPY data is text,
 * or bytes as `{ hex }`.
 */
export type Value = string | null | { readonly hex: string };

export type Message =
  | readonly ["Q", sql: string]
  | readonly ["P", statement: string, sql: string, ...types: number[]]
  | readonly [
      "B",
      portal: string,
      statement: string,
      parameters?: readonly Value[],
      formats?: readonly number[],
      results?: readonly number[],
    ]
  | readonly ["D" | "C", of: "S" | "P", name: string]
  | readonly ["E", portal: string, maxRows?: number]
  | readonly ["S" | "H" | "X" | "c"]
  | readonly ["d", data: Value]
  | readonly ["f", reason: string]
  | readonly ["F", oid: number, args: readonly Value[], formats?: readonly number[], result?: number]
  /** a message of any type with any body */
  | readonly ["raw", type: string, body: { readonly hex: string }];

const int16 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(2 * values.length);
  values.forEach((value, i) => bytes.writeUInt16BE(value, 2 * i));
  return bytes;
};
const int32 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => bytes.writeInt32BE(value | 0, 4 * i));
  return bytes;
};
const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const bytesOf = (value: string | { readonly hex: string }): Buffer =>
  typeof value === "string" ? Buffer.from(value) : Buffer.from(value.hex, "hex");
const list = (values: readonly number[]): Buffer => Buffer.concat([int16(values.length), int16(...values)]);

function parameters(values: readonly Value[]): Buffer {
  const parts = values.map((value) => {
    if (value === null) return int32(-1);
    const bytes = bytesOf(value);
    return Buffer.concat([int32(bytes.length), bytes]);
  });
  return Buffer.concat([int16(values.length), ...parts]);
}

function body(message: Message): Buffer {
  switch (message[0]) {
    case "Q":
    case "f":
      return text(message[1]);
    case "P": {
      const [, statement, sql, ...types] = message;
      return Buffer.concat([text(statement), text(sql), int16(types.length), int32(...types)]);
    }
    case "B": {
      const [, portal, statement, values = [], formats = [], results = []] = message;
      return Buffer.concat([text(portal), text(statement), list(formats), parameters(values), list(results)]);
    }
    case "D":
    case "C":
      return Buffer.concat([Buffer.from(message[1]), text(message[2])]);
    case "E":
      return Buffer.concat([text(message[1]), int32(message[2] ?? 0)]);
    case "d":
      return message[1] === null ? Buffer.alloc(0) : bytesOf(message[1]);
    case "F": {
      const [, oid, values, formats = [], result = 0] = message;
      return Buffer.concat([int32(oid), list(formats), parameters(values), int16(result)]);
    }
    case "raw":
      return bytesOf(message[2]);
    default:
      return Buffer.alloc(0);
  }
}

export function encode(message: Message): Buffer {
  const content = body(message);
  const head = Buffer.alloc(5);
  head.write(message[0] === "raw" ? message[1] : message[0], 0, "latin1");
  head.writeUInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}

/** How many ReadyForQuery these messages ask for, when no COPY takes Syncs away. */
export const readies = (messages: readonly Message[]): number =>
  messages.filter(([type]) => type === "Q" || type === "S" || type === "F").length;
