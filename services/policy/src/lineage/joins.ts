/** The columns of a JOIN: those that USING or NATURAL merge come first, then those of the left side, then of the right. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, strings, text } from "../sql/tree.ts";
import { matched } from "./conditions.ts";
import { NO_ORIGIN, join, openShape } from "./flow.ts";
import type { Column, Flow, Shape } from "./flow.ts";
import { NO_COLUMN } from "./run.ts";
import type { Run } from "./run.ts";
import { allColumns, itemOf } from "./scope.ts";
import type { Item } from "./scope.ts";
import { renamed } from "./with.ts";

/** What stands in the namespace for a join: the joined columns, and both sides by their names unless an alias hides them. */
export function joinItems(node: JsonObject, leftItems: readonly Item[], rightItems: readonly Item[], run: Run): Item[] {
  const left = allColumns(leftItems);
  const right = allColumns(rightItems);
  const merged = mergedColumns(node, left, right, run);
  const joined = merged.kind === "open" ? openShape(merged.flow) : concatenated(merged.columns, left, right);
  const alias = isObject(node["alias"]) ? node["alias"] : undefined;
  const usingAlias = isObject(node["join_using_alias"]) ? text(node["join_using_alias"]["aliasname"]) : undefined;
  const items: Item[] = [];
  if (alias === undefined) {
    for (const item of [...leftItems, ...rightItems]) items.push({ ...item, columnsVisible: false });
    // Without anything merged the sides' columns stay as they are, system columns included.
    items.push(openWhereSidesAre(itemOf(undefined, joined), leftItems, rightItems, mergesName(node)));
  } else {
    const names = strings(alias["colnames"]);
    items.push(itemOf(text(alias["aliasname"]), renamed(joined, names)));
  }
  if (usingAlias !== undefined) {
    const shape: Shape = merged.kind === "open" ? openShape(merged.flow) : { columns: merged.columns, open: undefined };
    items.push({ ...itemOf(usingAlias, shape), columnsVisible: false });
  }
  return items;
}

/** One side may have any column: a name is looked for in what is known of each side. */
function openWhereSidesAre(
  item: Item,
  leftItems: readonly Item[],
  rightItems: readonly Item[],
  merges: (name: string) => boolean,
): Item {
  const sides = [...leftItems, ...rightItems].filter((side) => side.columnsVisible);
  const open = sides.map((side) => side.open).filter((of) => of !== undefined);
  if (open.length === 0 || item.open === undefined) return item;
  const { whole } = item.open;
  const known = sides.flatMap((side) => side.columns);
  return {
    ...item,
    open: {
      whole,
      of: (name) => {
        const named = known.filter((column) => column.name === name).map((column) => column.flow);
        const flows = named.length > 0 && !merges(name) ? named : [...named, ...open.map((side) => side.of(name))];
        const [first] = flows;
        if (first !== undefined && flows.length === 1) return first;
        return { ...join(flows, true), origins: [...flows.flatMap((flow) => flow.origins), ...NO_ORIGIN] };
      },
    },
  };
}

/** Could a column of that name be of both sides? */
function mergesName(node: JsonObject): (name: string) => boolean {
  const using = strings(node["usingClause"]);
  return (name) => node["isNatural"] === true || using.includes(name);
}

type Merged = { kind: "columns"; columns: readonly Column[] } | { kind: "open"; flow: Flow };

function mergedColumns(node: JsonObject, left: Shape, right: Shape, run: Run): Merged {
  const natural = node["isNatural"] === true;
  const using = strings(node["usingClause"]);
  const open = [left.open, right.open].filter((flow) => flow !== undefined);
  if (open.length > 0) {
    const flow = join([...open, ...[...left.columns, ...right.columns].map((column) => column.flow)], false);
    if (natural || using.length > 0) run.search(flow);
    return { kind: "open", flow };
  }
  const names = natural ? commonNames(left, right) : using;
  const columns: Column[] = [];
  for (const name of names) {
    const l = left.columns.find((column) => column.name === name);
    const r = right.columns.find((column) => column.name === name);
    if (l === undefined || r === undefined) return { kind: "open", flow: run.unknown(NO_COLUMN) };
    matched(l.flow, r.flow, run);
    columns.push({ name, flow: mergedFlow(node["jointype"], l.flow, r.flow) });
  }
  return { kind: "columns", columns };
}

const commonNames = (left: Shape, right: Shape): string[] => {
  const others = new Set(right.columns.map((column) => column.name));
  return left.columns.map((column) => column.name).filter((name) => others.has(name));
};

/**
 * The values of one side, which are equal to those of the other, or of both (FULL): as the server merges them. The side
 * that is not shown is probed, as by a condition.
 */
function mergedFlow(jointype: Json | undefined, left: Flow, right: Flow): Flow {
  const both: Flow = { ...join([left, right], true), origins: NO_ORIGIN, fields: undefined };
  if (jointype === "JOIN_FULL") return both;
  if (jointype === "JOIN_RIGHT") return { ...right, ...keptSide(right, left) };
  if (jointype === "JOIN_LEFT") return { ...left, ...keptSide(left, right) };
  // The left column; where its type had to be converted, the right one (buildMergedJoinVar).
  if (sameType(left, right)) return { ...left, fields: undefined };
  return { ...both, origins: [...left.origins, ...right.origins, ...NO_ORIGIN] };
}

type Side = Pick<Flow, "origins" | "type" | "exact">;

const sameType = (a: Flow, b: Flow): boolean =>
  a.type !== undefined && a.type.oid === b.type?.oid && a.type.text === b.type.text;

/** The side's own column, unless it had to be converted to the type of the other. */
const keptSide = (side: Flow, other: Flow): Side =>
  sameType(side, other)
    ? { origins: side.origins, type: side.type, exact: side.exact }
    : { origins: [...side.origins, ...NO_ORIGIN], type: undefined, exact: false };

function concatenated(merged: readonly Column[], left: Shape, right: Shape): Shape {
  const names = new Set(merged.map((column) => column.name));
  const rest = (shape: Shape): Column[] => shape.columns.filter((column) => !names.has(column.name));
  return { columns: [...merged, ...rest(left), ...rest(right)], open: undefined };
}
