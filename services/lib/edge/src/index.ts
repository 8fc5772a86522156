/** The package's one entrance. */
export type { CancelControl, CancelKey } from "./cancel-control.ts";
export type { RowMeter } from "./counts/row-counts.ts";
export { type Edge, type EdgeLimits, type EdgeOptions, openEdge } from "./edge.ts";
export type { Completion, Gate, MaskedResult, Sink } from "./gate-interface.ts";
export { openLinks, type OpenLinks } from "./grpc-links.ts";
export type { EventSource, FollowedEvents } from "./leases.ts";
export type {
  ApprovalLink,
  CatalogLink,
  IdentityLink,
  Links,
  MaskingLink,
  PolicyLink,
  PolicyQuestion,
} from "./links.ts";
export type { Accepted, Handshake, LoginRequest, Refused, Stranger, TargetFacts } from "./login-interface.ts";
export type { CellOutput, CellTransform, ColumnExecution } from "./mask-execution.ts";
export type { Decision, Deny, DenyKind, EndCause, Forward, Held, Hold, KnownVerdict, SessionEnd } from "./outcome.ts";
export type { ResultMask, ResultShape } from "./result-mask.ts";
export type { EdgeSession } from "./session-interface.ts";
export type { AdmissionUnit, CommandContext, LexedText, LiteralLexer } from "./unit.ts";
