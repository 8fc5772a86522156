import { WireFault } from "../wire/fault.ts";
import { Frontend } from "../wire/message-table.ts";

/**
 * What the gateway does with the client's next message (section 54.2). Pure: sockets and decisions are elsewhere.
 *
 *     ready     commands are decided, the rest is passed in order
 *     skipping  after an error in the extended protocol: everything is dropped up to Sync, as the server does
 *     copy-in   the target takes COPY data
 *     ended     after Terminate, or after a violation
 */
export type FrontendPhase = "ready" | "skipping" | "copy-in" | "ended";

export type FrontendEffect =
  | "admit-query"
  | "admit-parse"
  | "admit-portal"
  | "admit-function-call"
  | "pass-describe"
  | "pass-execute"
  | "pass-close"
  | "pass-flush"
  | "pass-sync"
  | "copy-data"
  | "copy-done"
  | "copy-fail"
  /** COPY data, though nobody has asked for it yet: wait for the target's answers, then ask again */
  | "await-answers"
  | "terminate"
  | "drop"
  | "violation";

const whenReady: Readonly<Record<number, FrontendEffect>> = {
  [Frontend.query]: "admit-query",
  [Frontend.parse]: "admit-parse",
  [Frontend.bind]: "admit-portal",
  [Frontend.functionCall]: "admit-function-call",
  [Frontend.describe]: "pass-describe",
  [Frontend.execute]: "pass-execute",
  [Frontend.close]: "pass-close",
  [Frontend.flush]: "pass-flush",
  [Frontend.sync]: "pass-sync",
  [Frontend.terminate]: "terminate",
  // Late data of a COPY that has failed: dropped, as the server does.
  [Frontend.copyData]: "drop",
  [Frontend.copyDone]: "drop",
  [Frontend.copyFail]: "drop",
};

const whenCopying: Readonly<Record<number, FrontendEffect>> = {
  [Frontend.copyData]: "copy-data",
  [Frontend.copyDone]: "copy-done",
  [Frontend.copyFail]: "copy-fail",
  // The server ignores both until the COPY is over.
  [Frontend.flush]: "drop",
  [Frontend.sync]: "drop",
  [Frontend.terminate]: "terminate",
};

export class FrontendState {
  phase: FrontendPhase = "ready";
  /** Counts Syncs: what was said since the last one belongs together, and an error drops the rest of it. */
  cycle = 0;

  /** `unanswered`: the target still owes answers. */
  next(type: number, unanswered: boolean): FrontendEffect {
    switch (this.phase) {
      case "ready": {
        const effect = whenReady[type] ?? "violation";
        if (effect === "drop" && unanswered) return "await-answers";
        if (effect === "pass-sync") this.cycle += 1;
        if (effect === "terminate" || effect === "violation") this.phase = "ended";
        return effect;
      }
      case "skipping":
        if (type === Frontend.sync) {
          this.phase = "ready";
          this.cycle += 1;
          return "pass-sync";
        }
        if (type === Frontend.terminate) {
          this.phase = "ended";
          return "terminate";
        }
        return type === Frontend.password ? "violation" : "drop";
      case "copy-in": {
        const effect = whenCopying[type] ?? "violation";
        if (effect === "copy-done" || effect === "copy-fail") this.phase = "ready";
        if (effect === "terminate" || effect === "violation") this.phase = "ended";
        return effect;
      }
      case "ended":
        return "drop";
      default:
        return this.phase satisfies never;
    }
  }

  violation(type: number): WireFault {
    return new WireFault(`a message of type 0x${type.toString(16)} is not expected here`);
  }

  /** An extended-protocol message of `cycle` failed, here or at the target. */
  failed(cycle: number): void {
    if (this.phase !== "ended" && cycle === this.cycle) this.phase = "skipping";
  }

  /** The target takes COPY data, for a command of `cycle`. */
  copyInBegan(cycle: number): void {
    if (this.phase !== "ended") this.phase = "copy-in";
    this.cycle = cycle;
  }

  /** The COPY is over, by the target's error: what the client still sends of it is dropped. */
  copyInEnded(): void {
    if (this.phase === "copy-in") this.phase = "ready";
  }
}
