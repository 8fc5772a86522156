import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { MaskCells, MaskedCells, MaskPlan, MaskRequest, MaskResponse, PlanResult } from "@sallyport/proto/masking";
import { AppError, contextOf, type EventFollower, type Tally } from "@sallyport/runtime";
import { SpanKind, type Tracer } from "@opentelemetry/api";
import type { MaskingState } from "./masking-state.ts";
import { planResult } from "./plan/plan-result.ts";
import type { PlanStore } from "./plan/plan-store.ts";
import { cellMask, type CellMask, type CellTools } from "./scan/mask-cell.ts";
import type { Turns } from "./turns.ts";

export interface MaskingParts {
  state: MaskingState;
  plans: PlanStore;
  follower: Pick<EventFollower, "seq" | "waitFor">;
  tools: CellTools;
  turns: Turns;
  waitMs: number;
  masked: Tally;
  tracer: Tracer;
}

/** Bytes of requests that one stream may have in work; beyond them it is not read from. */
const IN_WORK_LIMIT = 32 * 1024 * 1024;
// The most that PostgreSQL returns are 1,664 columns; more relations than that are no statement that people write.
const MOST_COLUMNS = 4_096;
const MOST_RELATIONS = 16_384;
const MOST_CLASSES = 4_096;
const CELLS_A_TURN = 16;

/** One edge worker's stream. Requests are answered by id, each when it is ready; an error answers one request only. */
export function serveMask(stream: ServerDuplexStream<MaskRequest, MaskResponse>, parts: MaskingParts): Promise<void> {
  let inWork = 0;
  const done = Promise.withResolvers<void>();
  stream.on("data", (request: MaskRequest) => {
    const weight = weightOf(request);
    inWork += weight;
    if (inWork > IN_WORK_LIMIT) stream.pause();
    void traced(request, parts).then((response) => {
      inWork -= weight;
      if (stream.isPaused() && inWork <= IN_WORK_LIMIT / 2) stream.resume();
      if (!stream.destroyed && !stream.cancelled) stream.write(response);
    });
  });
  stream.on("end", () => {
    stream.end();
    done.resolve();
  });
  stream.on("cancelled", () => done.resolve());
  return done.promise;
}

function weightOf({ what }: MaskRequest): number {
  if (what?.$case !== "cells") return 1_024;
  return what.value.cells.reduce((sum, cell) => sum + cell.length + 64, 0);
}

/** The request as a part of its command's trace, where it names one. */
async function traced(request: MaskRequest, parts: MaskingParts): Promise<MaskResponse> {
  if (request.traceparent === "") return answer(request, parts);
  const name = `masking.${request.what?.$case ?? "nothing"}`;
  const span = parts.tracer.startSpan(name, { kind: SpanKind.SERVER }, contextOf(request.traceparent));
  const response = await answer(request, parts);
  if (response.result?.$case === "error") span.setAttribute("error.type", response.result.value.split(":")[0] ?? "");
  span.end();
  return response;
}

async function answer(request: MaskRequest, parts: MaskingParts): Promise<MaskResponse> {
  try {
    if (request.minAsOf > parts.follower.seq() && !(await parts.follower.waitFor(request.minAsOf, parts.waitMs)))
      throw new AppError("unavailable", "masking", "masking has not seen the newest events yet");
    switch (request.what?.$case) {
      case "plan":
        return { id: request.id, result: { $case: "plan", value: await plan(request.what.value, parts) } };
      case "cells":
        return { id: request.id, result: { $case: "cells", value: await maskCells(request.what.value, parts) } };
      default:
        throw new AppError("invalid-input", "masking", "a request for neither a plan nor cells");
    }
  } catch (error) {
    const { code, message } = AppError.from(error, "masking");
    // an unforeseen error's text may quote what it failed on
    return {
      id: request.id,
      result: { $case: "error", value: code === "internal" ? "internal: masking failed" : `${code}: ${message}` },
    };
  }
}

async function plan(request: PlanResult, { state, plans, follower }: MaskingParts): Promise<MaskPlan> {
  const tooMuch =
    request.columns.length > MOST_COLUMNS ||
    request.relations.length > MOST_RELATIONS ||
    request.hiddenClasses.length > MOST_CLASSES;
  if (tooMuch)
    throw new AppError("invalid-input", "masking.plan", "more columns, relations or classes than a statement can have");
  await state.prepare(request.connection, request.database);
  const { plan: made, executable } = planResult(request, state);
  if (executable.cells.some((cells) => cells !== undefined)) plans.put(made.planId, executable);
  return { ...made, asOf: follower.seq() };
}

async function maskCells(request: MaskCells, { plans, tools, turns, masked }: MaskingParts): Promise<MaskedCells> {
  const executable = plans.get(request.planId);
  if (!executable) throw new AppError("not-found", "masking.cells", "this plan is not known here: plan again");
  const transform = executable.cells[request.column];
  if (!transform) throw new AppError("invalid-input", "masking.cells", "this column of the plan is not masked here");
  const result = await turns.run(maskColumn(request.cells, cellMask(transform, executable.connection, tools)));
  masked.add(transform.kind, result.changed);
  return result;
}

function* maskColumn(cells: readonly Buffer[], mask: CellMask): Generator<void, MaskedCells> {
  const out: Buffer[] = [];
  let changed = 0;
  for (const cell of cells) {
    const masked = yield* mask(cell);
    if (masked !== cell) changed++;
    out.push(masked);
    if (out.length % CELLS_A_TURN === 0) yield;
  }
  return { cells: out, changed };
}
