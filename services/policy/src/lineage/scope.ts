/**
 * Names in sight of an expression: the items of FROM level by level, and common table expressions. As the server's
 * namespaces (parse_relation.c): an item's columns and its own name can be visible independently of each other.
 */

import type { Json } from "../sql/parser.ts";
import { strings, unwrap } from "../sql/tree.ts";
import { NO_ORIGIN, allOrigins, join, rowOf } from "./flow.ts";
import type { Column, Flow, Origin, Shape } from "./flow.ts";

/** Columns that an item may have beyond those that are known. */
export interface Open {
  /** all of them */
  whole: Flow;
  of(column: string): Flow;
}

export interface Item {
  name: string | undefined;
  /** of a table without an alias: `schema.table.column` may name it */
  schema: string | undefined;
  columns: readonly Column[];
  open: Open | undefined;
  /** system columns of a table, by name; undefined: it has none */
  system: ((name: string) => Flow | undefined) | undefined;
  /** what the server describes for the whole row */
  rowOrigins: readonly Origin[];
  /** its columns may be named alone, and `*` has them */
  columnsVisible: boolean;
  /** its name may be used */
  nameVisible: boolean;
  /** another item, whose columns a server may give for a part of this one's row */
  partsFrom?: Item;
}

export interface Level {
  items: readonly Item[];
  outer: Level | undefined;
}

export interface Cte {
  name: string;
  shape: Shape;
  outer: Cte | undefined;
}

export interface Env {
  /** innermost first */
  level: Level | undefined;
  ctes: Cte | undefined;
  /** a definition that the server wrote with an empty search path: a name without a schema is the server's own */
  serverWritten: boolean;
  /** what $1 and its like carry */
  parameters: Flow;
}

export const visible = { system: undefined, rowOrigins: NO_ORIGIN, columnsVisible: true, nameVisible: true };

/** Everything of a flow, under any name. */
export const openTo = (flow: Flow): Open => ({ whole: flow, of: () => flow });

export const itemOf = (name: string | undefined, shape: Shape): Item => ({
  ...visible,
  name,
  schema: undefined,
  columns: shape.columns,
  open: shape.open === undefined ? undefined : openTo(shape.open),
});

export const below = (env: Env, items: readonly Item[]): Env => ({ ...env, level: { items, outer: env.level } });

export function findCte(env: Env, name: string): Shape | undefined {
  for (let at = env.ctes; at !== undefined; at = at.outer) if (at.name === name) return at.shape;
  return undefined;
}

interface Named {
  /** columns of the innermost level that has any */
  found: Flow[];
  /** columns that open items on the way there may have */
  possible: Flow[];
}

/** Tables may have 1,600 columns, and a text may name each of them. */
const WIDE = 32;
const wide = new WeakMap<readonly Column[], Map<string, Flow[]>>();

function flowsNamed(columns: readonly Column[], name: string): readonly Flow[] {
  if (columns.length <= WIDE) return columns.filter((column) => column.name === name).map((column) => column.flow);
  const names = wide.get(columns) ?? new Map<string, Flow[]>();
  if (names.size === 0)
    for (const column of columns) names.set(column.name, [...(names.get(column.name) ?? []), column.flow]);
  wide.set(columns, names);
  return names.get(name) ?? [];
}

function lookUp(level: Level | undefined, name: string): Named {
  const possible: Flow[] = [];
  for (let at = level; at !== undefined; at = at.outer) {
    const found: Flow[] = [];
    const open: Flow[] = [];
    for (const item of at.items) {
      if (!item.columnsVisible) continue;
      const before = found.length;
      found.push(...flowsNamed(item.columns, name));
      const system = found.length === before ? item.system?.(name) : undefined;
      if (system !== undefined) found.push(system);
      if (item.open !== undefined) open.push(item.open.of(name));
    }
    // Had an open item a column of that name, too, the server would call it ambiguous.
    if (found.length > 0) return { found, possible };
    possible.push(...open);
  }
  return { found: [], possible };
}

/** A name that stands alone: a column of the innermost level that has it. */
export function columnNamed(level: Level | undefined, name: string): Flow | undefined {
  const { found, possible } = lookUp(level, name);
  if (found.length > 0) return either([...possible, ...found]);
  if (possible.length === 0) return undefined;
  // If none of the open items has it, an item of that name means its whole row.
  const item = itemNamed(level, name);
  return either(item === undefined ? possible : [...possible, wholeRow(item)]);
}

/**
 * The item whose whole row a value is: `c` or `c.*`. The server then takes a part of it for the item's column.
 * `beside`: columns of that name that open items may have; then it is not certain.
 */
export function rowItem(value: Json | undefined, level: Level | undefined): { item: Item; beside: Flow[] } | undefined {
  const inner = unwrap(value);
  const fields = inner?.type === "ColumnRef" ? inner.node["fields"] : undefined;
  const words = strings(fields);
  const [name = "", schema] = words.toReversed();
  const starred = Array.isArray(fields) && unwrap(fields[words.length])?.type === "A_Star";
  if (!starred && words.length !== 1) return undefined;
  const { found, possible } = starred ? { found: [], possible: [] } : lookUp(level, name);
  const item = found.length > 0 ? undefined : itemNamed(level, name, schema);
  return item === undefined ? undefined : { item, beside: possible };
}

export function either(flows: readonly Flow[]): Flow {
  const [first] = flows;
  if (first !== undefined && flows.length === 1) return first;
  return { ...join(flows, true), origins: allOrigins(flows) };
}

/** The item that a qualifier means: innermost first. */
export function itemNamed(level: Level | undefined, name: string, schema?: string): Item | undefined {
  for (let at = level; at !== undefined; at = at.outer) {
    for (const item of at.items) {
      if (!item.nameVisible || item.name !== name) continue;
      if (schema === undefined || item.schema === schema) return item;
    }
  }
  return undefined;
}

/** A column of an item; undefined: it has none of that name. */
export function columnOf(item: Item, name: string): Flow | undefined {
  const found = flowsNamed(item.columns, name);
  if (found.length > 0) return either(found);
  return item.system?.(name) ?? item.open?.of(name);
}

/** `(item).name`, which may be another item's column. */
export function part(item: Item, name: string, flow: Flow): Flow {
  const elsewhere = item.partsFrom === undefined ? undefined : columnOf(item.partsFrom, name);
  return elsewhere === undefined ? flow : either([flow, elsewhere]);
}

/** `(item).*` */
export const partsOf = (item: Item): Shape => ({
  columns: item.columns.map(({ name, flow }) => ({ name, flow: part(item, name, flow) })),
  open: item.open?.whole,
});

export const shapeOf = (item: Item): Shape => ({ columns: item.columns, open: item.open?.whole });

/** Of an item, its row: a text may name that of a wide one again and again. */
const rows = new WeakMap<Item, Flow>();

export function wholeRow(item: Item): Flow {
  const row = rows.get(item) ?? rowOf(shapeOf(item), item.rowOrigins);
  rows.set(item, row);
  return row;
}

/** `*`: the columns of all visible items, in order. */
export function allColumns(items: readonly Item[]): Shape {
  const columns: Column[] = [];
  const open: Flow[] = [];
  for (const item of items) {
    if (!item.columnsVisible) continue;
    columns.push(...item.columns);
    if (item.open !== undefined) open.push(item.open.whole);
  }
  if (open.length === 0) return { columns, open: undefined };
  return { columns: [], open: join([...open, ...columns.map((column) => column.flow)], false) };
}
