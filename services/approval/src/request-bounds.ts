/** What an edge may ask for. Everything is bounded: a person must be able to read it, and it stays in the log for ever. */
import { createHash, randomBytes } from "node:crypto";
import type { RequestApprovalRequest } from "@sallyport/proto/approval";
import { ApprovalRequested } from "@sallyport/proto/event";
import type { HeldCommand } from "@sallyport/proto/held_command";
import { AppError } from "@sallyport/runtime";

const op = "approval.request";
const maxName = 256;
const maxText = 256 * 1024;
const maxHolds = 32;
const maxParameters = 1_000;
const maxValue = 4_096;
const maxExecutes = 256;
const maxQuorum = 20;
const defaultWithinSeconds = 15 * 60;
const maxWithinSeconds = 7 * 24 * 3_600;

const invalid = (message: string): AppError => new AppError("invalid-input", op, message);

/** The request as a fact, or `invalid-input` with what is wrong with it. */
export function requestedFrom(asked: RequestApprovalRequest, nowMs: number): ApprovalRequested {
  const { principal, holds } = asked;
  if (!principal?.id) throw invalid("the request names nobody");
  for (const field of ["sessionId", "connection"] as const)
    if (asked[field].length === 0) throw invalid(`${field} is missing`);
  for (const field of ["sessionId", "connection", "database", "verdictId", "edge"] as const)
    if (asked[field].length > maxName) throw invalid(`${field} is too long`);
  for (const field of ["text", "normalized"] as const)
    if (asked[field].length > maxText) throw invalid("the command is too long for a person to approve");
  checkShown(asked.text, asked.shown);
  if (asked.digest.length < 16 || asked.digest.length > 64) throw invalid("digest must have 16 to 64 bytes");
  if (holds.length === 0 || holds.length > maxHolds) throw invalid(`a request has 1 to ${maxHolds} holds`);
  for (const hold of holds) {
    if (!hold.policyId || !hold.group) throw invalid("a hold needs its policy and its group");
    if (hold.policyId.length > maxName || hold.group.length > maxName || hold.message.length > 4_096)
      throw invalid("a hold is too long");
    if (hold.quorum > maxQuorum) throw invalid(`a quorum is at most ${maxQuorum}`);
  }
  if (new Set(holds.map((hold) => hold.policyId)).size !== holds.length) throw invalid("a hold is named twice");
  return ApprovalRequested.fromPartial({
    ...asked,
    approvalId: idOf(asked),
    // The group, its quorum and its time belong together: the shortest time ends the whole request.
    holds: holds.map((hold) => ({
      ...hold,
      quorum: Math.max(1, hold.quorum),
      withinSeconds: withinOf(hold.withinSeconds),
    })),
    expiresAtMs: expiryOf(asked, nowMs),
  });
}

/** Nobody consents to what they are not shown: the text and what it runs are whole, and what is cut of a value says so. */
function checkShown(text: string, shown: HeldCommand | undefined): void {
  if (shown === undefined || shown.textLength !== Buffer.byteLength(text))
    throw invalid("a request shows all of the command's text, or is none");
  const { parameters, parameterCount, executes } = shown;
  if (parameters.length > maxParameters || parameterCount < parameters.length)
    throw invalid(`a request lists at most ${maxParameters} parameters`);
  let values = 0;
  for (const { value, cut, sha256 } of parameters) {
    if (value.length > maxValue || sha256.length > 64) throw invalid("a parameter is too long to be shown");
    if (cut && sha256.length !== 32) throw invalid("a parameter that is cut has its hash");
    values += value.length;
  }
  if (executes.length > maxExecutes) throw invalid(`a request runs at most ${maxExecutes} named statements`);
  let [toRead, normalized] = [text.length, 0];
  for (const inner of executes) {
    if (inner.name.length > maxValue) throw invalid("a name is too long");
    toRead += inner.text.length;
    normalized += inner.normalized.length;
  }
  if (Math.max(toRead, normalized, values) > maxText) throw invalid("the command is too long for a person to approve");
}

const withinOf = (seconds: number): number => Math.min(seconds || defaultWithinSeconds, maxWithinSeconds);

/** The earliest hold's end, and never later than the requester's session. */
function expiryOf({ holds, principal }: RequestApprovalRequest, nowMs: number): number {
  const within = nowMs + 1_000 * Math.min(...holds.map((hold) => withinOf(hold.withinSeconds)));
  const session = principal!.expiresAtMs;
  return session > 0 ? Math.min(within, session) : within;
}

/** Of access for a time: it belongs to no command, so it is nobody's to guess. */
export const newId = (): string => spelled(randomBytes(8).readBigUInt64BE());

const alphabet = "abcdefghjkmnpqrstuvwxyz23456789"; // nothing that is misread

/** From what is asked: an edge that asks again for the same unit means the same request. 12 letters, 59 bits. */
export function idOf(asked: Pick<RequestApprovalRequest, "sessionId" | "command" | "digest">): string {
  const hash = createHash("sha256")
    .update(JSON.stringify([asked.sessionId, asked.command]))
    .update(asked.digest)
    .digest();
  return spelled(hash.readBigUInt64BE(0));
}

function spelled(bits: bigint): string {
  let number = bits;
  let id = "";
  for (let i = 0; i < 12; i++) {
    id += alphabet[Number(number % 31n)]!;
    number /= 31n;
  }
  return id;
}

const idForm = /^[A-Za-z0-9_-]{1,64}$/;

export function checkedId(id: string): string {
  if (!idForm.test(id)) throw new AppError("not-found", "approval", "There is no such request.");
  return id;
}

/** What a person typed, for one line: no control characters, bounded. */
export function checkedReason(text: string): string {
  if (text.length > 1_000)
    throw new AppError("invalid-input", "approval.decide", "A reason has at most 1,000 characters.");
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, " ").trim();
}
