/** What the analyser says of a statement against what is true of it. */

import type { BaseColumn, ColumnFlow, OutputColumn, StatementLineage } from "@sallyport/proto/verdict";
import type { TextLineage } from "../../src/lineage/lineage.ts";
import type { DescribedField } from "./oracle-server.ts";
import type { ServerCatalog } from "./server-catalog.ts";
import type { TrueColumn } from "./true-column.ts";
import type { TrueLineage } from "./true-lineage.ts";

export interface Comparison {
  /** a breach: something flows that the analysis does not say */
  tooLax: string[];
  /** what the server describes is not what the analysis foresaw: the result would be refused */
  wrong: string[];
  /** the same, where nothing could be shown anyway: the column may hold what nobody knows */
  needless: string[];
  columns: ColumnVerdict[];
}

export type ColumnVerdict =
  /** the same columns, or with good reason unknown */
  | { kind: "exact" }
  /** `more`: columns that do not flow */
  | { kind: "too strict"; more: string[] }
  | { kind: "unknown"; why: string };

const key = ({ relationOid, number }: BaseColumn): string => `${relationOid}.${number}`;

/** What the analyser says of one statement, and what the server does. */
export interface Sides {
  said: TextLineage;
  truth: TrueLineage;
  /** its RowDescription; undefined: no result */
  fields: readonly DescribedField[] | undefined;
}

export function compare({ said, truth, fields }: Sides, catalog: ServerCatalog): Comparison {
  const found: Comparison = { tooLax: [], wrong: [], needless: [], columns: [] };
  const [lineage] = said.statements;
  if (lineage === undefined || said.statements.length !== 1) throw new Error(`${said.statements.length} statements`);
  if (!said.incomplete) {
    found.tooLax.push(...probesMissing(said, lineage, truth, catalog));
    found.tooLax.push(...writesMissing(said, truth, catalog));
  }
  if (lineage.unknown !== "") {
    found.columns = truth.outputs.map((output) =>
      rightly(output) ? { kind: "exact" } : { kind: "unknown", why: lineage.unknown },
    );
    return found;
  }
  const described = fields ?? [];
  if (lineage.silent !== (fields === undefined)) found.wrong.push(`silent: ${lineage.silent}`);
  if (lineage.outputs.length !== described.length)
    found.wrong.push(`${lineage.outputs.length} columns, the server describes ${described.length}`);
  for (const [i, output] of lineage.outputs.entries()) {
    const field = described[i];
    const actual = truth.outputs[i];
    if (field === undefined || actual === undefined) continue;
    const at = `column ${i + 1} (${field.name})`;
    const hidden = output.unknown !== "" || output.temporary.length > 0;
    if (!foreseen(output, field, catalog))
      (hidden ? found.needless : found.wrong).push(
        `${at}: described as ${field.tableID}.${field.columnID}, foreseen ${output.describedOid}.${output.describedNumber}`,
      );
    if (output.name !== field.name) found.wrong.push(`${at}: foreseen as ${output.name}`);
    found.tooLax.push(...columnMissing(output, actual, catalog).map((what) => `${at}: ${what}`));
    found.columns.push(verdictOf(output, actual, catalog));
  }
  return found;
}

/** A column that is shown, or written somewhere, need not be told as probed. */
function probesMissing(
  said: TextLineage,
  lineage: StatementLineage,
  truth: TrueLineage,
  catalog: ServerCatalog,
): string[] {
  const told = new Set(said.probes.flatMap(({ column }) => (column === undefined ? [] : [key(column)])));
  for (const { sources } of [...lineage.outputs, ...said.flows]) for (const source of sources) told.add(key(source));
  return [...truth.probes].filter((probe) => !told.has(probe)).map((probe) => `probes ${catalog.named(probe)}`);
}

/** What is written somewhere without being said. */
function writesMissing(said: TextLineage, truth: TrueLineage, catalog: ServerCatalog): string[] {
  const found: string[] = [];
  for (const [written, actual] of truth.writes) {
    const [oid = 0, number = 0] = written.split(".").map(Number);
    const relation = catalog.relation(oid);
    const name = relation?.columns.get(number)?.name ?? "";
    const isTarget = (flow: ColumnFlow): boolean => {
      // What is written to a view is written to what it shows.
      if (catalog.relation(flow.relationOid)?.kind === "v") return true;
      const same = relation?.temporary === true ? flow.relation === relation.name : flow.relationOid === oid;
      return same && (flow.column === name || flow.column === "");
    };
    const flows = said.flows.filter(isTarget);
    if (flows.some((flow) => flow.unknown !== "")) continue;
    const sources = new Set(flows.flatMap((flow) => flow.sources.map(key)));
    // What stays in its column need not be told.
    for (const flow of actual.flows)
      if (flow !== written && !sources.has(flow))
        found.push(`${catalog.named(flow)} is written to ${catalog.named(written)}`);
    for (const reason of actual.beyond) found.push(`${reason}: written to ${catalog.named(written)}, not unknown`);
  }
  return found;
}

function foreseen(said: OutputColumn, { tableID, columnID }: DescribedField, catalog: ServerCatalog): boolean {
  if (said.describedOid === tableID && said.describedNumber === columnID) return true;
  if (said.orDescribed.some((origin) => origin.oid === tableID && origin.number === columnID)) return true;
  const relation = catalog.relation(tableID);
  return said.describedUnobserved && tableID !== 0 && (relation === undefined || relation.temporary);
}

/** What flows into a column without being said. */
export function columnMissing(said: OutputColumn, actual: TrueColumn, catalog: ServerCatalog): string[] {
  if (said.unknown !== "") return [];
  const sources = new Set(said.sources.map(key));
  const found = [...actual.flows].filter((flow) => !sources.has(flow)).map((flow) => catalog.named(flow));
  // Nothing is known of such a relation, of none of its columns.
  const relations = new Set(said.temporary.map((name) => name.split(".")[0]));
  for (const name of actual.temporary) if (!relations.has(name.split(".")[0])) found.push(`temporary ${name}`);
  for (const reason of actual.beyond) found.push(`${reason}: it must be unknown`);
  if (said.exact && !actual.plain && actual.flows.size > 0) found.push("the values are not as they stand in a column");
  return found;
}

const rightly = (actual: TrueColumn): boolean => actual.beyond.size > 0 || actual.mayBeBeyond;

function verdictOf(said: OutputColumn, actual: TrueColumn, catalog: ServerCatalog): ColumnVerdict {
  if (said.unknown !== "") return rightly(actual) ? { kind: "exact" } : { kind: "unknown", why: said.unknown };
  const may = (source: string): boolean => actual.flows.has(source) || actual.mayFlow.has(source);
  const more = said.sources.filter((source) => source.number > 0 && !may(key(source)));
  if (more.length === 0) return { kind: "exact" };
  return { kind: "too strict", more: more.map((source) => catalog.named(key(source))) };
}
