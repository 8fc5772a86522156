import type { Accepted, Handshake, LoginRequest, Refused } from "./login.ts";
import type { CancelControl } from "./cancel-control.ts";
import type { EdgeSession } from "./session.ts";
import type { LiteralLexer } from "./unit.ts";
import type { Links } from "./links.ts";
import type { ResultColumn, ResultMask } from "./mask-execution.ts";
import type { KnownVerdict } from "./outcome.ts";
import type { NatsConnection } from "@nats-io/transport-node";

export interface EdgeLimits {
  /** live sessions; default 2,000 */
  sessions: number;
  /** connections that have not logged in yet; default 512 */
  handshakes: number;
  /** of one admission unit's text; default 1 MiB */
  textBytes: number;
  /** recorded and not acknowledged, or acknowledged and not read by the client, of one session; default 1 MiB */
  sessionBytes: number;
  /** recorded and not acknowledged, of the lane; default 32 MiB */
  laneBytes: number;
}

export interface EdgeOptions {
  /** this edge instance, as in its NATS subjects */
  edge: string;
  /** `postgresql` */
  protocol: string;
  /** partition of FRAMES */
  partition: number;
  lane: number;
  gatewayVersion: string;
  nats: NatsConnection;
  links: Links;
  literals?: LiteralLexer;
  limits?: Partial<EdgeLimits>;
  /** what an acknowledgement survives */
  durability: "process" | "power-loss";
}

/** What a result looks like, for `Edge.maskFor`. */
export interface ResultShape {
  /** of the command: its relations, and what the principal may not see */
  verdict: KnownVerdict;
  columns: readonly ResultColumn[];
  schemaTouched: boolean;
}

export interface Edge {
  /** A place for a connection that has not logged in; undefined: too many, close it at once. */
  handshake(): Handshake | undefined;
  login(request: LoginRequest, handshake: Handshake): Promise<Accepted | Refused>;
  readonly cancels: CancelControl;
  /** live sessions */
  sessions(): Iterable<EdgeSession>;
  /**
   * The plan for a result, ready to be executed. Asked for once per verdict and shape, then given out again synchronously
   * (any number of times) until the epoch moves. Also when nothing is hidden: it says which classes were seen in clear.
   * Rejects with AppError when masking cannot be reached: the result must not be shown.
   */
  maskFor(session: EdgeSession, shape: ResultShape): ResultMask | Promise<ResultMask>;
  /** Ends every session with cause `shutdown` and resolves when the lane is empty, or after `deadlineMs`. */
  close(deadlineMs: number): Promise<void>;
}

export function openEdge(options: EdgeOptions): Promise<Edge> {
  throw new Error(`not yet: ${options.edge}`);
}
