/** Views and materialized views, down to the base columns that they show. Once for each observation of the schema. */

import type { Relation } from "@sallyport/proto/catalog_model";
import type { SchemaIndex } from "../schema/schema-index.ts";
import { unwrap } from "../sql/tree.ts";
import { NOTHING, columnKey, unknownFlow } from "./flow.ts";
import type { Column, Flow, Shape } from "./flow.ts";
import type { Run } from "./run.ts";
import type { Env } from "./scope.ts";

interface Kept {
  columns: readonly Column[];
  /** the first thing in it that was not recognised */
  unrecognised: string;
}

const known = new WeakMap<SchemaIndex, Map<number, Kept>>();
const NOT_FOLLOWED = "the definition of a view could not be followed";

/** The server writes definitions with an empty search path, and so every name of a user has its schema. */
const SERVER_WRITTEN: Env = { level: undefined, ctes: undefined, serverWritten: true, parameters: NOTHING };

export function viewColumns(view: Relation, run: Run): readonly Column[] {
  const { index } = run.names;
  const nothing = shown(view, undefined, index);
  if (index === undefined) return nothing;
  const kept = known.get(index) ?? new Map<number, Kept>();
  known.set(index, kept);
  const found = kept.get(view.oid);
  if (found !== undefined) {
    if (found.unrecognised !== "") run.note(found.unrecognised);
    return found.columns;
  }
  const statements = view.viewDefinition === "" ? "unknown" : run.syntax(view.viewDefinition);
  if (statements === undefined) {
    run.missing.add(view.viewDefinition);
    return nothing;
  }
  // Should definitions refer to each other in a circle, the inner one counts as unknown.
  kept.set(view.oid, { columns: nothing, unrecognised: NOT_FOLLOWED });
  const definition = statements === "unknown" || statements.length !== 1 ? undefined : unwrap(statements[0]?.stmt);
  if (definition?.type !== "SelectStmt") {
    run.note(NOT_FOLLOWED);
    return nothing;
  }
  const inner = run.within({ ...run.names, searchPath: [], stale: false, temporary: new Map() });
  try {
    const columns = shown(view, inner.query(definition.type, definition.node, SERVER_WRITTEN), index);
    kept.set(view.oid, { columns, unrecognised: inner.unrecognised });
    if (inner.unrecognised !== "") run.note(inner.unrecognised);
    return columns;
  } finally {
    for (const text of inner.missing) run.missing.add(text);
    if (inner.missing.size > 0) kept.delete(view.oid);
  }
}

function shown(view: Relation, shape: Shape | undefined, index?: SchemaIndex): readonly Column[] {
  const followed = shape !== undefined && shape.open === undefined && shape.columns.length === view.columns.length;
  return view.columns.map(({ name, number, typeOid, type }, i) => ({
    name,
    flow: {
      ...classified((followed ? shape.columns[i]?.flow : undefined) ?? unknownFlow(NOT_FOLLOWED), view, number, index),
      origins: [{ oid: view.oid, number }],
      type: { oid: typeOid, text: type },
    },
  }));
}

/** A rule may name the column of a view: whatever the view computes it from, it is of that class from there on. */
function classified(flow: Flow, view: Relation, number: number, index: SchemaIndex | undefined): Flow {
  if (index === undefined || index.classesOf(view, number).length === 0) return flow;
  return { ...flow, sources: [...flow.sources, columnKey(view.oid, number)] };
}
