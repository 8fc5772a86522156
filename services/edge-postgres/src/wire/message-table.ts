/**
 * Message types of the PostgreSQL protocol 3.0 and 3.2, keyed by their first byte.
 * https://www.postgresql.org/docs/18/protocol-message-formats.html
 *
 * A bound is the largest value that a message's length field (which counts itself, not the type byte) may have.
 */

export interface MessageType {
  readonly code: number;
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;
/** The server's own bound for messages that carry data (PQ_LARGE_MESSAGE_LIMIT, MaxAllocSize - 1). */
export const LARGEST_MESSAGE = 0x3fff_fffe;

const code = (letter: string): number => letter.charCodeAt(0);

/** What a client sends after the startup packet (section 54.7, "F"). */
export const Frontend = {
  bind: code("B"),
  close: code("C"),
  copyData: code("d"),
  copyDone: code("c"),
  copyFail: code("f"),
  describe: code("D"),
  execute: code("E"),
  flush: code("H"),
  functionCall: code("F"),
  parse: code("P"),
  password: code("p"),
  query: code("Q"),
  sync: code("S"),
  terminate: code("X"),
} as const;

/** What a server sends (section 54.7, "B"). */
export const Backend = {
  authentication: code("R"),
  backendKeyData: code("K"),
  bindComplete: code("2"),
  closeComplete: code("3"),
  commandComplete: code("C"),
  copyBothResponse: code("W"),
  copyData: code("d"),
  copyDone: code("c"),
  copyInResponse: code("G"),
  copyOutResponse: code("H"),
  dataRow: code("D"),
  emptyQueryResponse: code("I"),
  errorResponse: code("E"),
  functionCallResponse: code("V"),
  negotiateProtocolVersion: code("v"),
  noData: code("n"),
  noticeResponse: code("N"),
  notificationResponse: code("A"),
  parameterDescription: code("t"),
  parameterStatus: code("S"),
  parseComplete: code("1"),
  portalSuspended: code("s"),
  readyForQuery: code("Z"),
  rowDescription: code("T"),
} as const;

type Bounds = readonly [min: number, max: number];
const EMPTY: Bounds = [4, 4];

const frontendBounds: Record<keyof typeof Frontend, Bounds> = {
  bind: [12, 0], // 0: the configured bound
  close: [6, 64 * KiB],
  // Handed on in pieces, never held whole.
  copyData: [4, LARGEST_MESSAGE],
  copyDone: EMPTY,
  copyFail: [5, 64 * KiB],
  describe: [6, 64 * KiB],
  execute: [9, 64 * KiB],
  flush: EMPTY,
  functionCall: [14, 0],
  parse: [8, 0],
  password: [5, 16 * KiB + 8],
  query: [5, 0],
  sync: EMPTY,
  terminate: EMPTY,
};

const backendBounds: Record<keyof typeof Backend, Bounds> = {
  authentication: [8, 64 * KiB],
  backendKeyData: [9, 4 + 4 + 256],
  bindComplete: EMPTY,
  closeComplete: EMPTY,
  commandComplete: [5, 64 * KiB],
  copyBothResponse: [7, 64 * KiB],
  copyData: [4, LARGEST_MESSAGE],
  copyDone: EMPTY,
  copyInResponse: [7, 64 * KiB],
  copyOutResponse: [7, 64 * KiB],
  dataRow: [6, LARGEST_MESSAGE],
  emptyQueryResponse: EMPTY,
  errorResponse: [5, 16 * MiB],
  functionCallResponse: [8, LARGEST_MESSAGE],
  negotiateProtocolVersion: [12, 64 * KiB],
  noData: EMPTY,
  noticeResponse: [5, 16 * MiB],
  notificationResponse: [10, 64 * KiB],
  parameterDescription: [6, 4 + 2 + 4 * 65_535],
  parameterStatus: [6, 1 * MiB],
  parseComplete: EMPTY,
  portalSuspended: EMPTY,
  readyForQuery: [5, 5],
  rowDescription: [6, 2 * MiB],
};

/** One slot per possible type byte; an absent slot is an unknown type. */
export type MessageTable = readonly (MessageType | undefined)[];

function table(
  codes: Readonly<Record<string, number>>,
  bounds: Readonly<Record<string, Bounds>>,
  otherwise: number,
): MessageTable {
  const slots: (MessageType | undefined)[] = Array.from({ length: 256 }, () => undefined);
  for (const [name, byte] of Object.entries(codes)) {
    const [min, max] = bounds[name] ?? EMPTY;
    slots[byte] = { code: byte, name, min, max: max === 0 ? otherwise : max };
  }
  return slots;
}

/** `maxCommand`: bytes that one Query, Parse, Bind or FunctionCall may have. */
export const frontendTable = (maxCommand: number): MessageTable => table(Frontend, frontendBounds, maxCommand);
export const backendTable: MessageTable = table(Backend, backendBounds, LARGEST_MESSAGE);
