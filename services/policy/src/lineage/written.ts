/** Relations as targets of statements that write. */

import type { Relation } from "@sallyport/proto/catalog_model";
import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, text } from "../sql/tree.ts";
import { candidates, isView, relationItem, schemaOf } from "./catalog.ts";
import type { Candidate } from "./catalog.ts";
import { NOTHING, columnKey, derived, isText, join, numberOf, oidOf, tainted } from "./flow.ts";
import type { Column, Flow } from "./flow.ts";
import type { Run } from "./run.ts";
import type { Env, Item } from "./scope.ts";
import { viewColumns } from "./views.ts";

/** Column → what is put there; "": anywhere. */
export type Assigned = ReadonlyMap<string, Flow>;

export interface Target {
  /** as FROM would have it, under its alias */
  item: Item;
  /** columns in order */
  names: readonly string[];
  written: readonly Candidate[];
  /** its name as it is written */
  called: { schema: string; relation: string };
  /** why rows may be others than the ones assigned; empty: they are not */
  hazard: string;
}

/** `rows`: of INSERT the target shows only what was put there, and nothing of its heirs. */
export function targetOf(value: Json | undefined, rows: "new" | "old", env: Env, run: Run): Target {
  const named: JsonObject = isObject(value) ? value : {};
  const node = rows === "new" ? { ...named, inh: false } : named;
  const relation = text(node["relname"]) ?? "";
  const alias = isObject(node["alias"]) ? text(node["alias"]["aliasname"]) : undefined;
  const written = candidates(node, env, run);
  const hazard = written.some((candidate) => isHazard(candidate, run));
  const schema = alias === undefined ? schemaOf(node, env, run) : undefined;
  const item: Item = { ...relationItem(node, env, run), name: alias ?? relation, schema };
  return {
    item,
    names: item.columns.map((column) => column.name),
    written,
    called: { schema: text(node["schemaname"]) ?? "", relation },
    hazard: hazard ? "a view, or a table with triggers or rules, is written" : "",
  };
}

/** Triggers, rules and other servers may make another row of it. */
function isHazard(candidate: Candidate, run: Run): boolean {
  if (candidate.kind !== "observed") return false;
  const { relation } = candidate;
  const family = [relation, ...(run.names.index?.heirs(relation) ?? [])];
  return family.some((one) => one.hasTriggers || one.hasRules || isView(one) || one.kind === "foreign");
}

/** The target once it is written: what each column held, and what was put there. */
export function afterwards(target: Target, assigned: Assigned, run: Run): Item {
  const { item } = target;
  const everywhere = assigned.get("") ?? NOTHING;
  const changed = (name: string, flow: Flow): Flow => {
    const put = stored(assigned.get(name) ?? NOTHING, flow.type);
    const all = join([flow, put, ...generatedFrom(target, name, assigned), everywhere], false);
    const exact = flow.exact && put.exact && all.unknown === "" && everywhere === NOTHING && !isMade(target, name);
    const value: Flow = { ...flow, sources: all.sources, exact, unknown: all.unknown, temporary: all.temporary };
    return target.hazard === "" ? value : tainted(value, run.note(target.hazard));
  };
  const columns = item.columns.map(({ name, flow }): Column => ({ name, flow: changed(name, flow) }));
  const { open } = item;
  if (open === undefined) return { ...item, columns };
  const whole = changed("", join([open.whole, ...assigned.values()], false));
  return { ...item, columns, open: { whole, of: (name) => changed(name, open.of(name)) } };
}

/** An assignment converts to the type of the column. */
export function stored(flow: Flow, type: Flow["type"]): Flow {
  if (!flow.exact || flow.sources.length === 0) return flow;
  const same = type !== undefined && flow.type !== undefined && type.oid === flow.type.oid;
  const texts = type !== undefined && flow.type !== undefined && isText(type.oid) && isText(flow.type.oid);
  // A length that is too small refuses a text, but rounds a number.
  return texts || (same && (type.text === flow.type?.text || !type.text.includes("("))) ? flow : derived(flow);
}

/** Is it a generated column? */
const isMade = (target: Target, name: string): boolean =>
  target.written.some(
    (candidate) =>
      candidate.kind === "observed" &&
      candidate.relation.columns.some((column) => column.name === name && column.generatedFrom.length > 0),
  );

/** `excluded` of ON CONFLICT: the row that was to be inserted. */
export function proposed(target: Target, assigned: Assigned): Item {
  const columns = target.item.columns.map(({ name, flow }): Column => {
    const put = join(
      [stored(assigned.get(name) ?? NOTHING, flow.type), ...generatedFrom(target, name, assigned)],
      true,
    );
    return { name, flow: { ...put, origins: flow.origins, type: flow.type } };
  });
  const { open } = target.item;
  if (open === undefined) return { ...target.item, columns };
  const whole = join([open.whole, ...assigned.values()], false);
  return { ...target.item, columns, open: { whole, of: () => whole } };
}

/** What was assigned to the columns that a generated one is made from. */
function generatedFrom(target: Target, name: string, assigned: Assigned): Flow[] {
  const flows: Flow[] = [];
  for (const candidate of target.written) {
    if (candidate.kind !== "observed") continue;
    const { columns } = candidate.relation;
    for (const number of columns.find((column) => column.name === name)?.generatedFrom ?? []) {
      const from = assigned.get(columns.find((column) => column.number === number)?.name ?? "");
      if (from !== undefined) flows.push({ ...from, exact: false });
    }
  }
  return flows;
}

/** Says what is put where, unless it carries nothing. */
export function write(target: Target, assigned: Assigned, run: Run): void {
  for (const [column, flow] of assigned) {
    for (const candidate of target.written) writeTo(candidate, column, flow, target, run);
  }
}

function writeTo(candidate: Candidate, column: string, flow: Flow, target: Target, run: Run): void {
  const carries = flow.sources.length > 0 || flow.unknown !== "" || flow.temporary.length > 0;
  if (!carries || candidate.kind === "catalog") return;
  const base = { relationOid: 0, column, temporary: false };
  if (candidate.kind === "temporary") {
    run.written.push({ target: { ...base, schema: "pg_temp", relation: candidate.name, temporary: true }, flow });
  } else if (candidate.kind === "unknown") {
    run.written.push({ target: { ...base, ...target.called }, flow });
  } else {
    const type = target.item.columns.find((one) => one.name === column)?.flow.type;
    writeToObserved(candidate.relation, column, stored(flow, type), run);
  }
}

function writeToObserved(relation: Relation, column: string, flow: Flow, run: Run): void {
  const { index } = run.names;
  if (isView(relation)) {
    const shown = viewColumns(relation, run).find((one) => one.name === column)?.flow;
    for (const key of shown?.sources ?? []) {
      const base = index?.withOid(oidOf(key));
      const name = base?.columns.find((one) => one.number === numberOf(key))?.name;
      if (base !== undefined && name !== undefined && !isView(base)) writeToObserved(base, name, flow, run);
    }
  }
  for (const one of [relation, ...(index?.heirs(relation) ?? [])]) {
    const number = one.columns.find((other) => other.name === column)?.number;
    // A column set to itself is no copy.
    if (number !== undefined && flow.sources.length === 1 && flow.sources[0] === columnKey(one.oid, number)) continue;
    const { schema, name, oid } = one;
    run.written.push({ target: { schema, relation: name, relationOid: oid, column, temporary: false }, flow });
  }
}
