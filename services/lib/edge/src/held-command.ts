/**
 * What an approver is shown of a held command. Its text and the statements that it runs by their names are instructions:
 * they are shown whole, or the command is not held at all, for nobody can consent to what they cannot read. Parameters are
 * data: a long one is shown by its beginning, its length and its hash, and said to be cut. The digest binds all of it whole.
 */
import { createHash } from "node:crypto";
import { isUtf8 } from "node:buffer";
import type { HeldCommand, HeldParameter } from "@sallyport/proto/held_command";
import type { Parameter } from "@sallyport/proto/record";
import type { ExecutedStatement } from "@sallyport/proto/verdict";
import { beginning } from "./unit-record.ts";
import type { AdmissionUnit } from "./unit.ts";

/** Text and inner statements together: what a person can be expected to read before they consent. */
export const READABLE_BYTES = 64 * 1024;
/** Of one parameter, and of all of them together. */
const VALUE_BYTES = 1024;
const VALUES_BYTES = 64 * 1024;
/** Parameters that are listed at all. */
const MAX_LISTED = 1_000;
const MAX_NAMED = 256;

export type Shown =
  | { readonly outcome: "shown"; readonly text: string; readonly command: HeldCommand }
  /** `message` is public */
  | { readonly outcome: "unreadable"; readonly message: string };

export function showUnit(unit: AdmissionUnit, executes: readonly ExecutedStatement[]): Shown {
  const inner = executes.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  const length = unit.text.length + inner;
  if (length > READABLE_BYTES || executes.length > MAX_NAMED) {
    const what = inner > 0 ? "With the prepared statements that it runs it has" : "It has";
    const message =
      `This needs approval, and it is too long for a person to read: nobody approves what they cannot see. ${what} ` +
      `${length} bytes, at most ${READABLE_BYTES} can wait for approval. Send it in parts, or its values as parameters.`;
    return { outcome: "unreadable", message };
  }
  const parameters = unit.parameters ?? [];
  const command = {
    textLength: unit.text.length,
    parameters: showParameters(parameters),
    parameterCount: parameters.length,
    executes: [...executes],
  };
  return { outcome: "shown", text: unit.text.toString("utf8"), command };
}

function showParameters(parameters: readonly Parameter[]): HeldParameter[] {
  let left = VALUES_BYTES;
  return parameters.slice(0, MAX_LISTED).map((parameter) => {
    const shown = showParameter(parameter, Math.min(VALUE_BYTES, left));
    left -= Buffer.byteLength(shown.value);
    return shown;
  });
}

function showParameter({ typeOid, binary, value }: Parameter, most: number): HeldParameter {
  const none = Buffer.alloc(0);
  if (value === undefined) return { typeOid, binary, null: true, value: "", length: 0, cut: false, sha256: none };
  const hex = binary || !isUtf8(value);
  const shown = beginning(value, hex ? Math.floor(most / 2) : most, hex);
  const cut = shown.length < value.length;
  return {
    typeOid,
    binary: hex,
    null: false,
    value: Buffer.from(shown).toString(hex ? "hex" : "utf8"),
    length: value.length,
    cut,
    sha256: cut ? createHash("sha256").update(value).digest() : none,
  };
}
