/**
 * What a PostgreSQL client was sent, for another pair of eyes: cells of classes that this reader may not see are replaced,
 * in the bytes and in what is shown of them. What cannot be taken apart is withheld.
 *
 * Frontend/Backend Protocol 3.0 (https://www.postgresql.org/docs/current/protocol-message-formats.html):
 *
 *   message        = Byte1 type, Int32 length (itself included), body
 *   RowDescription = 'T', Int16 n, n × { String name, Int32 table, Int16 column, Int32 type, Int16 size, Int32 modifier, Int16 format }
 *   DataRow        = 'D', Int16 n, n × { Int32 length or -1 for NULL, bytes }
 *   ErrorResponse, NoticeResponse = 'E', 'N', { Byte1 field, String }, 0
 */
import type { Shown, ShownCell } from "@sallyport/proto/audit";
import type { ColumnClass } from "@sallyport/proto/record";

/** What this reader may see. */
export interface FrameRights {
  /** classes of data that may be shown in clear */
  revealed: ReadonlySet<string>;
  /** texts that may quote a statement's values: errors, notices; and rows and COPY data of which no classes were told */
  texts: boolean;
}

export interface FrameView {
  data: Buffer;
  shown: Shown[];
}

/** Larger messages are withheld: their bytes are not gathered. */
const MAX_MESSAGE = 32 * 1024 * 1024;
const MAX_COLUMNS = 1_664;
const MASK = Buffer.from("[masked]");
/** already masked when the client got them */
const maskedTransforms = new Set(["redact", "partial", "null", "hash"]);

/** One session's frames, in order from its beginning. */
export class PostgresFrames {
  readonly #rights: FrameRights;
  #rest: Buffer = Buffer.alloc(0);
  /** the stream of messages cannot be followed any more */
  #lost = false;
  #command = -1;
  /** columns to be masked, by position */
  #hidden = new Set<number>();
  #formats: number[] = [];
  /** COPY rows come without a description */
  #copyColumnsHidden = false;
  /** whether the command's columns were described, or told with their classes; of COPY: told */
  #known = { rows: false, copy: false };
  /** type of the message before */
  #before = 0;

  constructor(rights: FrameRights) {
    this.#rights = rights;
  }

  /** @param columns of the result that begins in this frame */
  view(command: number, data: Buffer, columns: readonly ColumnClass[]): FrameView {
    if (this.#lost) return withheld();
    this.#startOf(command, columns);
    const bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    const out: Buffer[] = [];
    const shown: Shown[] = [];
    let pos = 0;
    try {
      while (bytes.length - pos >= 5) {
        const length = bytes.readInt32BE(pos + 1);
        if (length < 4 || length > MAX_MESSAGE) throw new FrameError();
        const end = pos + 1 + length;
        if (end > bytes.length) break;
        const message = this.#message(bytes.subarray(pos, end), shown);
        if (message !== undefined) out.push(message);
        pos = end;
      }
    } catch (error) {
      if (!(error instanceof FrameError || error instanceof RangeError)) throw error;
      this.#lost = true;
      return withheld();
    }
    this.#rest = pos === bytes.length ? EMPTY : Buffer.from(bytes.subarray(pos));
    return { data: Buffer.concat(out), shown };
  }

  #startOf(command: number, columns: readonly ColumnClass[]): void {
    // 0: of no command (a notification), in the midst of one's rows perhaps
    if (command !== this.#command && command !== 0) {
      this.#command = command;
      this.#hidden = new Set();
      this.#copyColumnsHidden = false;
      this.#known = { rows: false, copy: false };
    }
    if (columns.length > 0) this.#known = { rows: true, copy: true };
    // within a command sets only grow: a frame may hold the end of one result and the beginning of the next
    for (const { index, class: name, transform } of columns) {
      if (name === "" || this.#rights.revealed.has(name) || maskedTransforms.has(transform)) continue;
      this.#hidden.add(index);
      this.#copyColumnsHidden = true;
    }
  }

  /** @returns the message as this reader may have it; undefined: not at all */
  #message(message: Buffer, shown: Shown[]): Buffer | undefined {
    const before = this.#before;
    this.#before = message[0] as number;
    switch (message[0]) {
      case T.rowDescription:
        this.#rowDescription(message, shown);
        // Behind parameters it is a statement's: of no result, and without classes.
        if (before !== T.parameterDescription) this.#known = { rows: true, copy: false };
        return message;
      case T.dataRow:
        return this.#dataRow(message, shown);
      case T.commandComplete:
        shown.push({ what: { $case: "tag", value: cString(message, 5).text } });
        return message;
      case T.error:
      case T.notice:
        return this.#textMessage(message, shown);
      case T.copyData:
        return this.#copyData(message, shown);
      case T.notification:
      case T.functionCall:
      case T.parameterStatus:
        return this.#rights.texts ? message : undefined;
      case T.backendKey:
        // a secret: with it, the session's commands can be cancelled
        return undefined;
      default:
        if (harmless.has(message[0] as number)) return message;
        throw new FrameError();
    }
  }

  #rowDescription(message: Buffer, shown: Shown[]): void {
    const columns = message.readInt16BE(5);
    if (columns < 0 || columns > MAX_COLUMNS) throw new FrameError();
    const names: string[] = [];
    const formats: number[] = [];
    let pos = 7;
    for (let i = 0; i < columns; i++) {
      const { text, next } = cString(message, pos);
      names.push(text);
      formats.push(message.readInt16BE(next + 16));
      pos = next + 18;
    }
    if (pos !== message.length) throw new FrameError();
    this.#formats = formats;
    shown.push({ what: { $case: "columns", value: { names } } });
  }

  #dataRow(message: Buffer, shown: Shown[]): Buffer {
    const columns = message.readInt16BE(5);
    if (columns < 0 || columns > MAX_COLUMNS) throw new FrameError();
    const unknown = !this.#known.rows && !this.#rights.texts;
    const cells: ShownCell[] = [];
    const out: Buffer[] = [message.subarray(0, 7)];
    let pos = 7;
    for (let i = 0; i < columns; i++) {
      const length = message.readInt32BE(pos);
      if (length < -1 || pos + 4 + Math.max(0, length) > message.length) throw new FrameError();
      const value = length < 0 ? undefined : message.subarray(pos + 4, pos + 4 + length);
      pos += 4 + Math.max(0, length);
      const hidden = value !== undefined && (unknown || this.#hidden.has(i));
      const cell = hidden ? MASK : value;
      const size = Buffer.alloc(4);
      size.writeInt32BE(cell === undefined ? -1 : cell.length);
      out.push(size);
      if (cell !== undefined) out.push(cell);
      cells.push({
        text:
          cell === undefined
            ? undefined
            : hidden || this.#formats[i] !== 1
              ? cell.toString("utf8")
              : `\\x${cell.toString("hex")}`,
      });
    }
    if (pos !== message.length) throw new FrameError();
    shown.push({ what: { $case: "row", value: { cells } } });
    return withLength(out);
  }

  /** Without rights on texts, an error or a notice keeps its severity and its code. */
  #textMessage(message: Buffer, shown: Shown[]): Buffer {
    const fields = new Map<string, string>();
    let pos = 5;
    while (pos < message.length && message[pos] !== 0) {
      const field = String.fromCharCode(message[pos] as number);
      const { text, next } = cString(message, pos + 1);
      fields.set(field, text);
      pos = next;
    }
    if (pos !== message.length - 1) throw new FrameError();
    const keep = this.#rights.texts ? [...fields.keys()] : ["S", "V", "C"];
    if (!this.#rights.texts) fields.set("M", "[not shown]");
    const value = {
      severity: fields.get("V") ?? fields.get("S") ?? "",
      code: fields.get("C") ?? "",
      message: fields.get("M") ?? "",
      detail: this.#rights.texts ? (fields.get("D") ?? "") : "",
      hint: this.#rights.texts ? (fields.get("H") ?? "") : "",
    };
    shown.push({ what: { $case: "message", value } });
    if (this.#rights.texts) return message;
    const body = [...keep, "M"].filter((field) => fields.has(field)).map((field) => `${field}${fields.get(field)}\0`);
    return withLength([Buffer.from([message[0] as number, 0, 0, 0, 0]), Buffer.from(`${body.join("")}\0`)]);
  }

  /** A piece of COPY need not be a whole row: columns cannot be told apart, so all of it is shown or none. */
  #copyData(message: Buffer, shown: Shown[]): Buffer | undefined {
    if (this.#copyColumnsHidden || (!this.#known.copy && !this.#rights.texts)) {
      shown.push({ what: { $case: "text", value: "[masked]" } });
      return undefined;
    }
    const text = message.toString("utf8", 5);
    shown.push({ what: { $case: "text", value: text.includes("\ufffd") ? `\\x${message.toString("hex", 5)}` : text } });
    return message;
  }
}

class FrameError extends Error {}

const EMPTY = Buffer.alloc(0);
const code = (letter: string): number => letter.charCodeAt(0);
const T = {
  rowDescription: code("T"),
  parameterDescription: code("t"),
  dataRow: code("D"),
  commandComplete: code("C"),
  error: code("E"),
  notice: code("N"),
  copyData: code("d"),
  notification: code("A"),
  functionCall: code("V"),
  parameterStatus: code("S"),
  backendKey: code("K"),
} as const;
/** Authentication, ready, parse, bind and close complete, no data, suspended, empty, parameter types, the beginnings and end of COPY, versions. */
const harmless = new Set([..."RZ123nsItGHWcv"].map(code));

const withheld = (): FrameView => ({
  data: EMPTY,
  shown: [{ what: { $case: "text", value: "[withheld: it cannot be taken apart]" } }],
});

function cString(bytes: Buffer, start: number): { text: string; next: number } {
  const end = bytes.indexOf(0, start);
  if (end < 0) throw new FrameError();
  return { text: bytes.toString("utf8", start, end), next: end + 1 };
}

/** Joins the parts of a message and writes its length. */
function withLength(parts: Buffer[]): Buffer {
  const message = Buffer.concat(parts);
  message.writeInt32BE(message.length - 1, 1);
  return message;
}
