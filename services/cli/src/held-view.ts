/**
 * A held command as a person reads it before they consent: every value and every statement that it runs, whatever its
 * sender put into them. Text for one line each; the printer makes control characters visible.
 */
import type { HeldCommand, HeldParameter } from "@sallyport/proto/held_command";
import { NamedStatement_Kind, type ExecutedStatement } from "@sallyport/proto/verdict";

/** `$1 = 42 (type 23)`, and what is not listed. */
export function parameterLines(shown: HeldCommand | undefined): string[] {
  if (shown === undefined) return [];
  const lines = shown.parameters.map((one, i) => `$${i + 1} = ${valueOf(one)}`);
  const missing = shown.parameterCount - shown.parameters.length;
  if (missing > 0) lines.push(`NOT SHOWN: ${missing} more of ${shown.parameterCount} parameters`);
  return lines;
}

/** `prepared "wipe": DELETE …` */
export function executedLines(shown: HeldCommand | undefined): string[] {
  return shown?.executes.map(executedLine) ?? [];
}

function executedLine({ kind, name, text, normalized }: ExecutedStatement): string {
  const what = kind === NamedStatement_Kind.KIND_CURSOR ? "cursor" : "prepared";
  return `${what} ${JSON.stringify(name)}: ${text || normalized || "NOT KNOWN: it could be any statement"}`;
}

function valueOf(one: HeldParameter): string {
  const type = one.typeOid === 0 ? "" : ` (type ${one.typeOid})`;
  if (one.null) return `NULL${type}`;
  // To those who may not see it, only its length is told.
  if (one.value === "" && one.length > 0 && one.sha256.length === 0) return `${one.length} bytes${type}`;
  const value = one.binary ? binary(one) : `'${one.value.replaceAll("'", "''")}'`;
  if (!one.cut) return `${value}${type}`;
  return `${value}… CUT: ${one.length} bytes in all, SHA-256 ${Buffer.from(one.sha256).toString("hex")}${type}`;
}

/** int2, int4, int8 and bool as what they say; the rest as it is. */
function binary({ typeOid, value, length, cut }: HeldParameter): string {
  const hex = `\\x${value}`;
  const bytes = Buffer.from(value, "hex");
  if (cut || bytes.length !== length) return hex;
  if (typeOid === 16 && length === 1) return `${bytes[0] !== 0} [${hex}]`;
  if (typeOid === 21 && length === 2) return `${bytes.readInt16BE()} [${hex}]`;
  if (typeOid === 23 && length === 4) return `${bytes.readInt32BE()} [${hex}]`;
  if (typeOid === 20 && length === 8) return `${bytes.readBigInt64BE()} [${hex}]`;
  return hex;
}
