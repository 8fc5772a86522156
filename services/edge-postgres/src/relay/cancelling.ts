/**
 * Cancel requests to the target: one connection at a time, however often the client asks. Who asks meanwhile joins the one
 * that is under way; it is dialled once more only when what it was asked for is still what runs.
 */
export class Cancelling {
  readonly #dial: () => Promise<void>;
  readonly #running: () => number;
  readonly #done: () => void;
  #busy = false;
  /** the command that was asked for meanwhile; 0: none */
  #again = 0;

  /**
   * `dial` never rejects. `running`: the number of the command that the target works on; 0: none. `done`: nothing is under way
   * any more.
   */
  constructor(dial: () => Promise<void>, running: () => number, done: () => void) {
    this.#dial = dial;
    this.#running = running;
    this.#done = done;
  }

  /** A request is under way. */
  get busy(): boolean {
    return this.#busy;
  }

  /** Asks the target to cancel `command`, which it works on. */
  ask(command: number): void {
    if (this.#busy) {
      this.#again = command;
      return;
    }
    this.#busy = true;
    void this.#dial().then(() => {
      this.#busy = false;
      const again = this.#again;
      this.#again = 0;
      // Another command may run by now, which nobody wants to end.
      if (again !== 0 && again === this.#running()) this.ask(again);
      else this.#done();
    });
  }
}
