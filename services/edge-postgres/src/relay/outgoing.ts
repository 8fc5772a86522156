import type { Gate, ResultMask } from "@sallyport/edge";

const NOTHING = Buffer.alloc(0);

/**
 * What goes to the client: messages that lie behind one another in a chunk are gathered into one stretch, and released as one
 * frame. What has to be recorded behind the bytes of a command waits for its stretch.
 */
export class Outgoing {
  readonly #gate: Gate;
  readonly #behind: (() => void)[] = [];
  #bytes: Buffer = NOTHING;
  #from = 0;
  #to = 0;
  #command = 0;
  #columns: ResultMask["classes"] | undefined;

  constructor(gate: Gate) {
    this.#gate = gate;
  }

  /** `bytes[start, end)` as it is. Messages of no command (0) join the stretch that is open. */
  pass(bytes: Buffer, start: number, end: number, command: number, columns?: ResultMask["classes"]): void {
    const joins = bytes === this.#bytes && start === this.#to && columns === undefined;
    if (joins && (command === this.#command || command === 0 || this.#command === 0)) {
      this.#to = end;
      if (command !== 0) this.#command = command;
      return;
    }
    this.flush();
    this.#bytes = bytes;
    this.#from = start;
    this.#to = end;
    this.#command = command;
    this.#columns = columns;
  }

  /** Bytes of our own making, behind everything before. */
  release(command: number, bytes: Buffer, columns?: ResultMask["classes"]): void {
    this.flush();
    if (bytes.length > 0) this.#gate.release(command, bytes, columns);
  }

  /** Runs once the stretch that is open is released. */
  behind(record: () => void): void {
    this.#behind.push(record);
  }

  flush(): void {
    if (this.#to > this.#from) {
      const whole = this.#from === 0 && this.#to === this.#bytes.length;
      const bytes = whole ? this.#bytes : this.#bytes.subarray(this.#from, this.#to);
      const [command, columns] = [this.#command, this.#columns];
      this.#bytes = NOTHING;
      this.#from = 0;
      this.#to = 0;
      this.#command = 0;
      this.#columns = undefined;
      this.#gate.release(command, bytes, columns);
    }
    if (this.#behind.length > 0) for (const record of this.#behind.splice(0)) record();
  }
}
