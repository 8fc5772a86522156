/** An admission unit as records: whole in CommandAdmitted, or, when it is too long for one, in FrameFromClient before it. */
import type { Parameter } from "@sallyport/proto/record";
import type { Forward } from "./outcome.ts";
import { utf8, type AdmittedFact } from "./recorder/facts.ts";
import { FRAME_BYTES, type SessionRecorder } from "./recorder/session-recorder.ts";
import type { AdmissionUnit } from "./unit.ts";
import type { VerdictEntry } from "./verdict-cache.ts";

/** Text and parameters up to here travel in one record. */
const INLINE_BYTES = 128 * 1024;
/** What a record shows of a longer text. */
const SHOWN_BYTES = 16 * 1024;

const NO_BYTES = new Uint8Array(0);
const NO_PARAMETERS: readonly Parameter[] = [];
const NO_NUMBERS: readonly number[] = [];

export function recordUnit(recorder: SessionRecorder, decision: Forward, traceId: Uint8Array | undefined): void {
  const { unit } = decision;
  const parameters = unit.parameters ?? NO_PARAMETERS;
  const fact: AdmittedFact = {
    command: decision.command,
    verdictId: (decision.verdict as VerdictEntry).idBytes,
    approvalId: utf8(decision.approvalId),
    unit: utf8(unit.unit),
    text: unit.text,
    statementName: utf8(unit.statementName ?? ""),
    portalName: utf8(unit.portalName ?? ""),
    parameters,
    resultFormats: unit.resultFormats ?? NO_NUMBERS,
    traceId: traceId ?? NO_BYTES,
    textLength: 0,
    parameterLengths: NO_NUMBERS,
  };
  if (unitBytes(unit) > INLINE_BYTES) {
    recordParts(recorder, decision.command, unit.text);
    for (const parameter of parameters) {
      if (parameter.value !== undefined) recordParts(recorder, decision.command, parameter.value);
    }
    fact.text = beginning(unit.text, SHOWN_BYTES);
    fact.textLength = unit.text.length;
    fact.parameters = NO_PARAMETERS;
    fact.parameterLengths = parameters.map((parameter) => parameter.value?.length ?? 0);
  }
  recorder.admitted(fact);
}

/** For records and requests that show a unit without being its evidence: the text's beginning, no parameters when long. */
export function textOf(unit: AdmissionUnit): { text: string; parameters: Parameter[] } {
  if (unitBytes(unit) <= INLINE_BYTES)
    return { text: unit.text.toString("utf8"), parameters: [...(unit.parameters ?? [])] };
  return { text: Buffer.from(beginning(unit.text, SHOWN_BYTES)).toString("utf8"), parameters: [] };
}

function unitBytes(unit: AdmissionUnit): number {
  let bytes = unit.text.length;
  if (unit.parameters !== undefined)
    for (const parameter of unit.parameters) bytes += 16 + (parameter.value?.length ?? 0);
  return bytes;
}

function recordParts(recorder: SessionRecorder, command: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
    recorder.frameFromClient(command, bytes.subarray(at, at + FRAME_BYTES));
  }
}

/** Cut in front of a character, never in it; bytes that are no text are cut anywhere. */
export function beginning(text: Uint8Array, length: number, anywhere = false): Uint8Array {
  let end = Math.min(length, text.length);
  if (end < text.length && !anywhere) while (end > 0 && ((text[end] as number) & 0xc0) === 0x80) end--;
  return text.subarray(0, end);
}
