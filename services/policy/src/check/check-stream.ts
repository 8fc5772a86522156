/** The long-lived stream of an edge: checks in, signed verdicts out, in whatever order they are ready. */

import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { CheckRequest } from "@sallyport/proto/policy";
import { CheckResponse } from "@sallyport/proto/policy";
import type { Verdict } from "@sallyport/proto/verdict";
import { Outcome } from "@sallyport/proto/verdict";
import { contextOf } from "@sallyport/runtime";
import type { Logger } from "@sallyport/runtime";
import { SpanKind } from "@opentelemetry/api";
import type { Span, Tracer } from "@opentelemetry/api";
import { signVerdict } from "./sign.ts";
import type { VerdictKey } from "./sign.ts";

export interface CheckStreamParts {
  judge: (request: CheckRequest) => Verdict | Promise<Verdict>;
  /** true once everything up to the sequence is folded, false when that took too long */
  waitFor: (sequence: number, deadlineMs: number) => Promise<boolean>;
  folded: () => number;
  key: VerdictKey;
  tracer: Tracer;
  log: Logger;
  /** seconds that one check took */
  measured: (outcome: string, seconds: number) => void;
}

type Stream = ServerDuplexStream<CheckRequest, CheckResponse>;

const MAX_WAIT_MS = 5_000;
const DEFAULT_WAIT_MS = 1_000;
/** Checks of one stream that are not answered yet; above it, no more are read until some are. */
const MAX_OPEN = 2_000;

export function checkStream(stream: Stream, parts: CheckStreamParts): void {
  let open = 0;
  let ended = false;
  const answer = (request: CheckRequest, span: Span, startedAt: number, verdict: Verdict | string): void => {
    open--;
    const outcome = typeof verdict === "string" ? "error" : named(verdict.outcome);
    span.setAttribute("sallyport.outcome", outcome);
    span.end();
    parts.measured(outcome, (performance.now() - startedAt) / 1_000);
    if (!stream.destroyed && !stream.writableEnded) stream.write(response(request.id, verdict, parts.key));
    if (open < MAX_OPEN && stream.isPaused()) stream.resume();
    if (ended && open === 0) stream.end();
  };
  stream.on("data", (request: CheckRequest) => {
    const startedAt = performance.now();
    const span = parts.tracer.startSpan("policy.check", { kind: SpanKind.SERVER }, contextOf(request.traceparent));
    if (++open >= MAX_OPEN) stream.pause();
    const judged = folded(request, parts);
    if (!(judged instanceof Promise)) return answer(request, span, startedAt, judged);
    judged.then(
      (verdict) => answer(request, span, startedAt, verdict),
      (error: unknown) => {
        parts.log.error({ err: error }, "check failed");
        answer(request, span, startedAt, "the check failed");
      },
    );
  });
  stream.on("end", () => {
    ended = true;
    if (open === 0) stream.end();
  });
}

/** Waits, if it must, until everything that the edge knows of is known here too. */
function folded(request: CheckRequest, parts: CheckStreamParts): Verdict | string | Promise<Verdict | string> {
  if (request.minAsOf <= parts.folded()) return guarded(request, parts);
  const wait = Math.min(request.deadlineMs || DEFAULT_WAIT_MS, MAX_WAIT_MS);
  return parts.waitFor(request.minAsOf, wait).then((known) => {
    return known ? parts.judge(request) : `the policy service has not seen event ${request.minAsOf} yet`;
  });
}

/** A bug in one check must not end the stream, and with it everybody else's checks. */
function guarded(request: CheckRequest, parts: CheckStreamParts): Verdict | string | Promise<Verdict | string> {
  try {
    return parts.judge(request);
  } catch (error) {
    parts.log.error({ err: error }, "check failed");
    return "the check failed";
  }
}

function response(id: number, verdict: Verdict | string, key: VerdictKey): CheckResponse {
  if (typeof verdict === "string") return { id, verdict: undefined, error: verdict };
  return { id, verdict: signVerdict(verdict, key), error: "" };
}

function named(outcome: Verdict["outcome"]): string {
  switch (outcome) {
    case Outcome.OUTCOME_FORWARD:
      return "forward";
    case Outcome.OUTCOME_HOLD:
      return "hold";
    case Outcome.OUTCOME_DENY:
      return "deny";
    default:
      return "unspecified";
  }
}
