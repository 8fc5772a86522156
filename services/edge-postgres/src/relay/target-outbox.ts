import type { Socket } from "node:net";
import type { BackendState } from "./backend-state.ts";
import type { Question } from "./command.ts";

/**
 * What goes to the target, in order: what waits for its admission holds up everything behind it. Messages that lie behind
 * one another in the client's bytes leave as one write.
 */
export interface OutItem {
  readonly bytes: Buffer;
  readonly start: number;
  end: number;
  readonly questions: Question[];
  /** FrontendState.cycle */
  readonly cycle: number;
  /** a Sync: it is sent even when its cycle has failed */
  readonly sync: boolean;
  /** not yet admitted */
  waiting: boolean;
  /** its cycle has failed meanwhile */
  dropped: boolean;
}

const NOTHING = Buffer.alloc(0);
/** Messages that wait to be sent, or to be answered: a message of five bytes is more than that to whoever keeps it. */
const MANY = 4096;

export class TargetOutbox {
  /** The target takes no more for now. */
  full = false;
  readonly #socket: Socket;
  readonly #backend: BackendState<Question>;
  readonly #onDrain: () => void;
  #items: OutItem[] = [];
  /** questions of those items, and the items themselves */
  #weight = 0;
  #crowded = false;
  // what is to be written next: a stretch of one buffer
  #run: Buffer = NOTHING;
  #runStart = 0;
  #runEnd = 0;
  #corked = false;

  constructor(socket: Socket, backend: BackendState<Question>, onDrain: () => void) {
    this.#socket = socket;
    this.#backend = backend;
    this.#onDrain = onDrain;
  }

  get empty(): boolean {
    return this.#items.length === 0;
  }

  /** Too many messages wait here or at the target; until half of them are gone. */
  get crowded(): boolean {
    const many = this.#weight + this.#backend.waiting;
    if (many > MANY) this.#crowded = true;
    else if (many <= MANY / 2) this.#crowded = false;
    return this.#crowded;
  }

  /** Items that wait for their admission, those of later cycles too. */
  get items(): readonly OutItem[] {
    return this.#items;
  }

  /** A message that needs no admission of its own. `flush` must follow in the same turn. */
  pass(bytes: Buffer, start: number, end: number, cycle: number, question?: Question, sync = false): void {
    const last = this.#items.at(-1);
    if (last === undefined) {
      if (question !== undefined) this.#backend.ask(question);
      this.#write(bytes, start, end);
      return;
    }
    if (!last.sync && last.bytes === bytes && last.end === start && last.cycle === cycle && !last.waiting && !sync) {
      last.end = end;
      if (question !== undefined) last.questions.push(question);
      this.#weight += 1;
      return;
    }
    const questions = question === undefined ? [] : [question];
    this.#weight += 1 + questions.length;
    this.#items.push({ bytes, start, end, questions, cycle, sync, waiting: false, dropped: false });
  }

  /** A message that must be admitted first; everything passed after it waits with it. */
  place(bytes: Buffer, start: number, end: number, cycle: number, question: Question | undefined): OutItem {
    const item: OutItem = {
      bytes,
      start,
      end,
      questions: question === undefined ? [] : [question],
      cycle,
      sync: false,
      waiting: true,
      dropped: false,
    };
    this.#weight += 1 + item.questions.length;
    this.#items.push(item);
    return item;
  }

  /** It is admitted: it leaves, with what waited behind it. */
  admitted(item: OutItem): void {
    item.waiting = false;
    this.#send();
    this.flush();
  }

  /** Several messages in one buffer. */
  passAll(bytes: Buffer, cycle: number, questions: readonly Question[]): void {
    const [first, ...more] = questions;
    this.pass(bytes, 0, bytes.length, cycle, first);
    const queued = this.#items.at(-1);
    for (const question of more) {
      if (queued === undefined) this.#backend.ask(question);
      else queued.questions.push(question);
    }
    if (queued !== undefined) this.#weight += more.length;
  }

  /** It was not admitted after all: something else leaves in its place, or first when it was dropped with its cycle. */
  replace(item: OutItem, bytes: Buffer, questions: readonly Question[]): void {
    const { cycle } = item;
    const whole = { bytes, start: 0, end: bytes.length, cycle, questions: [...questions] };
    const instead: OutItem = { ...whole, sync: false, waiting: false, dropped: false };
    const at = this.#items.indexOf(item);
    this.#items.splice(at < 0 ? 0 : at, at < 0 ? 0 : 1, instead);
    this.#weigh();
  }

  /** Everything of a failed cycle but its Sync is taken out; the questions that will not be asked. */
  drop(cycle: number): OutItem[] {
    const dropped = this.#items.filter((item) => item.cycle === cycle && !item.sync);
    if (dropped.length === 0) return dropped;
    for (const item of dropped) item.dropped = true;
    this.#items = this.#items.filter((item) => !item.dropped);
    this.#weigh();
    return dropped;
  }

  /** Sends what no longer waits. */
  advance(): void {
    this.#send();
    this.flush();
  }

  /** Writes what was gathered. */
  flush(): void {
    this.#writeRun();
    if (!this.#corked) return;
    this.#corked = false;
    this.#socket.uncork();
  }

  #send(): void {
    let sent = 0;
    for (const item of this.#items) {
      if (item.waiting) break;
      sent += 1;
      for (const question of item.questions) this.#backend.ask(question);
      this.#write(item.bytes, item.start, item.end);
    }
    if (sent === this.#items.length) this.#items.length = 0;
    else if (sent > 0) this.#items.splice(0, sent);
    if (sent > 0) this.#weigh();
  }

  #weigh(): void {
    this.#weight = 0;
    for (const { questions } of this.#items) this.#weight += 1 + questions.length;
  }

  #write(bytes: Buffer, start: number, end: number): void {
    if (bytes === this.#run && start === this.#runEnd) {
      this.#runEnd = end;
      return;
    }
    if (this.#runEnd > this.#runStart) {
      if (!this.#corked) {
        this.#corked = true;
        this.#socket.cork();
      }
      this.#writeRun();
    }
    this.#run = bytes;
    this.#runStart = start;
    this.#runEnd = end;
  }

  #writeRun(): void {
    const { length } = this.#run;
    if (this.#runEnd === this.#runStart) return;
    const whole = this.#runStart === 0 && this.#runEnd === length;
    const stretch = whole ? this.#run : this.#run.subarray(this.#runStart, this.#runEnd);
    this.#run = NOTHING;
    this.#runStart = 0;
    this.#runEnd = 0;
    if (this.#socket.destroyed) return;
    if (!this.#socket.write(stretch) && !this.full) {
      this.full = true;
      this.#socket.once("drain", () => {
        this.full = false;
        this.#onDrain();
      });
    }
  }
}
