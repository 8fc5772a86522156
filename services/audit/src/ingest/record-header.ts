import { WireError, WireReader } from "./wire-reader.ts";

/** What is constant within a session, as far as its records say so. */
export interface SessionPart {
  sessionId: string;
  principalId: string;
  actors: string[];
  connection: string;
  protocol: string;
  /** the encoded fields 1 to 5, when they came first; compared before they are used for another record */
  bytes: Buffer;
}

export interface RecordHeaderView {
  session: SessionPart;
  seq: number;
  /** microseconds since 1970 */
  atUs: number;
  kind: number;
  bodyLength: number;
}

/** Sessions remembered at once; beyond, all are forgotten and read again. */
const MAX_REMEMBERED = 20_000;
const MAX_SESSION_ID = 128;
const MAX_ACTORS = 32;
const FIRST_NUMBER_FIELD = 6;

/**
 * Reads RecordHeader. The part that is the same in all records of a session is recognised by its bytes, so that it is
 * decoded once and not per record.
 */
export class RecordHeaderReader {
  readonly #reader = new WireReader();
  readonly #sessions = new Map<string, SessionPart>();
  #last: SessionPart | undefined;
  readonly #view: RecordHeaderView = { session: emptySession(), seq: 0, atUs: 0, kind: 0, bodyLength: 0 };

  /**
   * @returns a view that the next call overwrites
   * @throws WireError
   */
  read(bytes: Buffer, start: number, end: number): RecordHeaderView {
    const known = this.#recognise(bytes, start, end);
    const view = this.#view;
    view.seq = view.atUs = view.kind = view.bodyLength = 0;
    const from = known === undefined ? start : start + known.bytes.length;
    view.session = known ?? emptySession();
    this.#readFields(bytes, from, end, known === undefined);
    if (view.session.sessionId === "" || view.session.sessionId.length > MAX_SESSION_ID)
      throw new WireError("record without a session");
    if (view.seq === 0) throw new WireError("record without a sequence number");
    if (known === undefined) this.#remember(view.session);
    this.#last = view.session;
    return view;
  }

  #recognise(bytes: Buffer, start: number, end: number): SessionPart | undefined {
    const last = this.#last;
    if (last !== undefined && startsWith(bytes, start, end, last.bytes)) return last;
    // field 1 first, as encoders write it: tag 0x0a, a length below 128
    const length = bytes[start + 1] ?? 0;
    if (bytes[start] !== 0x0a || length > 0x7f || start + 2 + length > end) return undefined;
    const session = this.#sessions.get(bytes.toString("utf8", start + 2, start + 2 + length));
    return session !== undefined && startsWith(bytes, start, end, session.bytes) ? session : undefined;
  }

  #readFields(bytes: Buffer, from: number, end: number, whole: boolean): void {
    const reader = this.#reader.over(bytes, from, end);
    const view = this.#view;
    let prefixEnd = -1;
    while (reader.pos < end) {
      const fieldStart = reader.pos;
      const tag = reader.varint();
      const field = tag >>> 3;
      if ((tag & 7) === 0 && field >= FIRST_NUMBER_FIELD) {
        if (prefixEnd < 0) prefixEnd = fieldStart;
        const value = reader.varint();
        if (field === 6) view.seq = value;
        else if (field === 7) view.atUs = value;
        else if (field === 8) view.kind = value;
        else if (field === 9) view.bodyLength = value;
      } else if ((tag & 7) === 2 && field >= 1 && field < FIRST_NUMBER_FIELD) {
        // a recognised session part with one of its fields again: the later would override, so nothing is reused
        if (!whole || prefixEnd >= 0) throw new WireError("record header fields out of order");
        this.#readSessionField(field);
      } else reader.skip(tag & 7);
    }
    if (whole) view.session.bytes = Buffer.from(bytes.subarray(from, prefixEnd < 0 ? end : prefixEnd));
  }

  #readSessionField(field: number): void {
    const reader = this.#reader;
    const length = reader.length();
    const text = reader.bytes.toString("utf8", reader.pos, reader.pos + length);
    reader.pos += length;
    const session = this.#view.session;
    if (field === 1) session.sessionId = text;
    else if (field === 2) session.principalId = text;
    else if (field === 3) {
      if (session.actors.length === MAX_ACTORS) throw new WireError("actor chain too long");
      session.actors.push(text);
    } else if (field === 4) session.connection = text;
    else session.protocol = text;
  }

  #remember(session: SessionPart): void {
    if (this.#sessions.size >= MAX_REMEMBERED) this.#sessions.clear();
    this.#sessions.set(session.sessionId, session);
  }
}

function startsWith(bytes: Buffer, start: number, end: number, prefix: Buffer): boolean {
  const length = prefix.length;
  if (length === 0 || start + length > end) return false;
  for (let i = 0; i < length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

function emptySession(): SessionPart {
  return { sessionId: "", principalId: "", actors: [], connection: "", protocol: "", bytes: Buffer.alloc(0) };
}
