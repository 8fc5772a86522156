/** The columns of a JOIN: those that USING or NATURAL merge come first, then those of the left side, then of the right. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, strings, text } from "../sql/tree.ts";
import { NO_ORIGIN, join, openShape } from "./flow.ts";
import type { Column, ColumnType, Flow, Origin, Shape } from "./flow.ts";
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
    items.push(openWhereSidesAre(itemOf(undefined, joined), leftItems, rightItems));
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
function openWhereSidesAre(item: Item, leftItems: readonly Item[], rightItems: readonly Item[]): Item {
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
        const flows = named.length > 0 ? named : open.map((side) => side.of(name));
        const [first] = flows;
        if (first !== undefined && flows.length === 1) return first;
        return { ...join(flows, true), origins: [...flows.flatMap((flow) => flow.origins), ...NO_ORIGIN] };
      },
    },
  };
}

type Merged = { kind: "columns"; columns: readonly Column[] } | { kind: "open"; flow: Flow };

function mergedColumns(node: JsonObject, left: Shape, right: Shape, run: Run): Merged {
  const natural = node["isNatural"] === true;
  const using = strings(node["usingClause"]);
  const open = [left.open, right.open].filter((flow) => flow !== undefined);
  if (open.length > 0) {
    const flow = join([...open, ...[...left.columns, ...right.columns].map((column) => column.flow)], false);
    if (natural || using.length > 0) run.probe(flow);
    return { kind: "open", flow };
  }
  const names = natural ? commonNames(left, right) : using;
  const columns: Column[] = [];
  for (const name of names) {
    const l = left.columns.find((column) => column.name === name);
    const r = right.columns.find((column) => column.name === name);
    if (l === undefined || r === undefined)
      return { kind: "open", flow: run.unknown("a column that was not observed") };
    run.probe(l.flow);
    run.probe(r.flow);
    columns.push({ name, flow: mergedFlow(node["jointype"], l.flow, r.flow) });
  }
  return { kind: "columns", columns };
}

const commonNames = (left: Shape, right: Shape): string[] => {
  const others = new Set(right.columns.map((column) => column.name));
  return left.columns.map((column) => column.name).filter((name) => others.has(name));
};

/** Equal values, except where one side has no row: then the other's. */
function mergedFlow(jointype: Json | undefined, left: Flow, right: Flow): Flow {
  const { sources, exact, unknown, temporary } = join([left, right], true);
  const both = { sources, exact, unknown, temporary, fields: undefined };
  if (jointype === "JOIN_FULL") return { ...both, origins: NO_ORIGIN, type: undefined };
  if (jointype === "JOIN_RIGHT") return { ...both, ...keptSide(right, left) };
  if (jointype === "JOIN_LEFT") return { ...both, ...keptSide(left, right) };
  return { ...both, ...innerSide(left, right) };
}

interface Side {
  origins: readonly Origin[];
  type: ColumnType | undefined;
}

const sameType = (a: Flow, b: Flow): boolean =>
  a.type !== undefined && a.type.oid === b.type?.oid && a.type.text === b.type.text;
const orNone = (...flows: Flow[]): Side => ({
  origins: [...flows.flatMap((flow) => flow.origins), ...NO_ORIGIN],
  type: undefined,
});

/** The side's own column, unless it had to be converted to the type of the other. */
const keptSide = (side: Flow, other: Flow): Side =>
  sameType(side, other) ? { origins: side.origins, type: side.type } : orNone(side);

/** The left column; where its type had to be converted, the right one (buildMergedJoinVar). */
const innerSide = (left: Flow, right: Flow): Side =>
  sameType(left, right) ? { origins: left.origins, type: left.type } : orNone(left, right);

function concatenated(merged: readonly Column[], left: Shape, right: Shape): Shape {
  const names = new Set(merged.map((column) => column.name));
  const rest = (shape: Shape): Column[] => shape.columns.filter((column) => !names.has(column.name));
  return { columns: [...merged, ...rest(left), ...rest(right)], open: undefined };
}
