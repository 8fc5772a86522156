/** The border between AppError and gRPC status codes. Translated here and nowhere else. */
import { Metadata, status, type StatusObject } from "@grpc/grpc-js";
import { AppError, type ErrorCode } from "./app-error.ts";

const statusOf: Record<ErrorCode, status> = {
  "invalid-input": status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  "not-permitted": status.PERMISSION_DENIED,
  "not-found": status.NOT_FOUND,
  "already-exists": status.ALREADY_EXISTS,
  conflict: status.ABORTED,
  "failed-precondition": status.FAILED_PRECONDITION,
  unavailable: status.UNAVAILABLE,
  deadline: status.DEADLINE_EXCEEDED,
  exhausted: status.RESOURCE_EXHAUSTED,
  cancelled: status.CANCELLED,
  internal: status.INTERNAL,
};
const codeOf = new Map<number, ErrorCode>(
  Object.entries(statusOf).map(([code, number]) => [number, code as ErrorCode]),
);

const maxDetails = 2_000;

/** What a bug says stays here: an `internal` error travels without its message. */
export function toStatus(error: unknown): StatusObject {
  const app = AppError.from(error, "grpc");
  const details = app.code === "internal" ? "internal error" : app.message.slice(0, maxDetails);
  return { code: statusOf[app.code], details, metadata: new Metadata() };
}

/** An error of a gRPC call; statuses without a code of ours count as `internal`. */
export function fromStatus(error: unknown, op: string): AppError {
  if (!isServiceError(error)) return AppError.from(error, op);
  const code = codeOf.get(error.code) ?? "internal";
  return new AppError(code, op, ownSentence.get(code)?.(op, error.details) ?? (error.details || code), {
    cause: error,
  });
}

/** What grpc-js itself says about a peer that is away is about sockets and names; people get a sentence of ours. */
const ownSentence = new Map<ErrorCode, (op: string, details: string) => string | undefined>([
  ["deadline", (op) => `${op}: no answer in time`],
  ["unavailable", (op, details) => (fromTransport.test(details) ? `${op}: the service cannot be reached` : undefined)],
]);
const fromTransport =
  /^(No connection established|Connection dropped|Name resolution|Received RST_STREAM|Channel|.*ECONN|.*HTTP)/;

function isServiceError(error: unknown): error is Error & { code: number; details: string } {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}
