import type { Forward, Hold } from "./outcome.ts";
import type { CommandTrace } from "./telemetry.ts";
import type { AdmissionUnit } from "./unit.ts";
import type { VerdictEntry } from "./verdict-cache.ts";

/** A command from its arrival on. */
export interface Ticket {
  readonly command: number;
  readonly unit: AdmissionUnit;
  /** performance.now() */
  readonly arrivedAt: number;
  readonly trace: CommandTrace | undefined;
}

/** A grant that a decision uses. */
export interface Grant {
  readonly approvalId: string;
  readonly digest: Buffer;
  /** sequence of its use in EVENTS */
  readonly asOf: number;
}

/** Decisions as the gate keeps them: the protocol sees the part that concerns it. */
export interface GateForward extends Forward {
  readonly verdict: VerdictEntry;
  readonly ticket: Ticket;
  readonly grant: Grant | undefined;
  readonly contextVersion: number;
}

export interface GateHold extends Hold {
  readonly verdict: VerdictEntry;
  readonly ticket: Ticket;
}
