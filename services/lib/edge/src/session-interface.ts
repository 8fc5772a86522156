import type { Principal } from "@sallyport/proto/principal";
import type { RowMeter } from "./counts/row-counts.ts";
import type { EndCause, KnownVerdict } from "./outcome.ts";
import type { Gate } from "./gate-interface.ts";

/** A session from its SessionOpened to its SessionClosed. */
export interface EdgeSession {
  /** time-ordered, unique */
  readonly id: string;
  /** groups may change while it lives */
  readonly principal: Principal;
  readonly connection: string;
  readonly database: string;
  readonly hiddenClasses: readonly string[];
  readonly gate: Gate;
  /** Counts a command's rows, and says how many may pass under the verdict. One for each command that may have rows. */
  meter(verdict: KnownVerdict): RowMeter;
  /** Aborted when the session must end; `reason` is a SessionEnd. The running command is to be cancelled at the target. */
  readonly signal: AbortSignal;
  /** Begins the end. The first cause stays. */
  end(cause: EndCause, message: string): void;
  /**
   * Ends it (cause `client` unless `end` was called), records what is open as unknown and SessionClosed, and resolves
   * when that is acknowledged, or after 2 s. Call it exactly once, after both sockets are done with.
   */
  close(): Promise<void>;
  /** Last words that cannot be recorded, because the bus is what failed. Only after an end with cause `bus`. */
  lastWords(bytes: Buffer): void;
}
