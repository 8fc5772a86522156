export type { CancelControl, CancelKey } from "./cancel-control.ts";
export { openEdge } from "./edge.ts";
export type { Edge, EdgeLimits, EdgeOptions, ResultShape } from "./edge.ts";
export type { Completion, Gate, MaskedResult, Sink } from "./gate.ts";
export type {
  ApprovalLink,
  CatalogLink,
  IdentityLink,
  Links,
  MaskingLink,
  PolicyLink,
  PolicyQuestion,
} from "./links.ts";
export type { Accepted, Handshake, LoginRequest, Refused, TargetFacts } from "./login.ts";
export type { CellOutput, CellTransform, ColumnExecution, ResultMask } from "./mask-execution.ts";
export type { Decision, Deny, DenyKind, EndCause, Forward, Held, Hold, KnownVerdict, SessionEnd } from "./outcome.ts";
export type { EdgeSession } from "./session.ts";
export type { AdmissionUnit, CommandContext, LexedText, LiteralLexer } from "./unit.ts";
