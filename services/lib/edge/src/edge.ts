import type { Accepted, Handshake, LoginRequest, Refused } from "./login.ts";
import type { CancelControl } from "./cancel-control.ts";
import type { EdgeSession } from "./session.ts";
import type { LiteralLexer } from "./unit.ts";
import type { Links } from "./links.ts";
import type { ResultColumn, ResultMask } from "./mask-execution.ts";
import type { RelationFact } from "@sallyport/proto/verdict";
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
  columns: readonly ResultColumn[];
  relations: readonly RelationFact[];
  unknownSources: boolean;
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
   * The plan for a result, ready to be executed; asked for once per statement and shape, and kept by the caller no longer
   * than that statement's result. When nothing is hidden from the principal it passes all without asking.
   */
  maskFor(session: EdgeSession, shape: ResultShape): Promise<ResultMask>;
  /** Ends every session with cause `shutdown` and resolves when the lane is empty, or after `deadlineMs`. */
  close(deadlineMs: number): Promise<void>;
}

export function openEdge(options: EdgeOptions): Promise<Edge> {
  throw new Error(`not yet: ${options.edge}`);
}
