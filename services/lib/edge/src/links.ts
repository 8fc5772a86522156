/**
 * The other services as an edge sees them. Interfaces, handed in: a benchmark or a test passes its own, `grpc-links.ts`
 * makes the real ones. Every method throws AppError; a refusal of `authenticate` has code `unauthenticated`.
 */
import type {
  ApprovalState,
  RequestApprovalRequest,
  RequestApprovalResponse,
  UseRequest,
  UseResponse,
} from "@sallyport/proto/approval";
import type {
  ObserveSchemaRequest,
  ObserveSchemaResponse,
  RecordCopiesRequest,
  RecordCopiesResponse,
  ResolveRequest,
  ResolveResponse,
} from "@sallyport/proto/catalog";
import type { AuthenticateRequest, AuthenticateResponse, RecheckResponse } from "@sallyport/proto/identity";
import type { MaskedCells, MaskPlan, PlanResult } from "@sallyport/proto/masking";
import type { CommandCheck, SessionContext } from "@sallyport/proto/policy";
import type { SignedVerdict } from "@sallyport/proto/verdict";

/** One question to `policy`: may this session connect (`command` absent), or run this command? */
export interface PolicyQuestion {
  session: SessionContext;
  command?: CommandCheck;
  /** sequence in EVENTS that the answer must have seen */
  minAsOf: number;
  deadlineMs: number;
  traceparent?: string;
}

export interface PolicyLink {
  check(question: PolicyQuestion): Promise<SignedVerdict>;
}

export interface MaskingLink {
  plan(result: PlanResult, minAsOf: number): Promise<MaskPlan>;
  /** Cells of one column of a plan that `plan` gave out on this link; none of them NULL. Answers in the same order. */
  cells(planId: string, column: number, cells: readonly Buffer[]): Promise<MaskedCells>;
}

export interface IdentityLink {
  authenticate(request: AuthenticateRequest): Promise<AuthenticateResponse>;
  recheck(tokenId: string): Promise<RecheckResponse>;
}

export interface CatalogLink {
  resolve(request: ResolveRequest): Promise<ResolveResponse>;
  observeSchema(request: ObserveSchemaRequest): Promise<ObserveSchemaResponse>;
  recordCopies(request: RecordCopiesRequest): Promise<RecordCopiesResponse>;
}

export interface ApprovalLink {
  request(request: RequestApprovalRequest): Promise<RequestApprovalResponse>;
  /** States as they come, ending with a final one or with a break (then it may be called again). */
  await(approvalId: string, signal: AbortSignal): AsyncIterable<ApprovalState>;
  use(request: UseRequest): Promise<UseResponse>;
  withdraw(approvalId: string, cause: string): Promise<void>;
}

export interface Links {
  policy: PolicyLink;
  masking: MaskingLink;
  identity: IdentityLink;
  catalog: CatalogLink;
  approval: ApprovalLink;
}
