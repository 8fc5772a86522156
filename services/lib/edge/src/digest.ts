/**
 * What exactly is approved: text, parameter types, formats and bytes, result formats, the statements that it runs by their
 * names, database, role, search_path. A grant for one digest is for nothing else. Every part is preceded by its length, so that no two units give the same bytes.
 */
import { createHash } from "node:crypto";
import type { ExecutedStatement } from "@sallyport/proto/verdict";
import type { AdmissionUnit, CommandContext } from "./unit.ts";

export interface DigestPlace {
  connection: string;
  database: string;
  context: CommandContext;
  /** as policy found them: CommandFacts.executes */
  executes: readonly ExecutedStatement[];
}

export function digestOf(unit: AdmissionUnit, place: DigestPlace): Buffer {
  const sum = createHash("sha256");
  const number = (value: number): void => {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    sum.update(bytes);
  };
  const bytes = (value: Uint8Array): void => {
    number(value.length);
    sum.update(value);
  };
  const text = (value: string): void => bytes(Buffer.from(value, "utf8"));

  text("sallyport admission unit 2");
  text(unit.unit);
  bytes(unit.text);
  const parameters = unit.parameters ?? [];
  number(parameters.length);
  for (const parameter of parameters) {
    number(parameter.typeOid);
    number(parameter.binary ? 1 : 0);
    if (parameter.value === undefined) number(-1);
    else bytes(parameter.value);
  }
  const formats = unit.resultFormats ?? [];
  number(formats.length);
  for (const format of formats) number(format);
  number(place.executes.length);
  for (const { kind, name, text: inner } of place.executes) {
    number(kind);
    text(name);
    text(inner);
  }
  text(place.connection);
  text(place.database);
  text(place.context.role);
  number(place.context.searchPath.length);
  for (const schema of place.context.searchPath) text(schema);
  return sum.digest();
}
