/** What a relation's name stands for: columns of a table, what a view shows, a temporary relation, a catalog. */

import type { Relation } from "@sallyport/proto/catalog_model";
import { catalogKind, inCatalog, isTemporarySchema } from "../sql/catalogs.ts";
import type { JsonObject } from "../sql/parser.ts";
import { text } from "../sql/tree.ts";
import { NOTHING, UNOBSERVED_ORIGIN, eitherShape, join, rowOf } from "./flow.ts";
import type { Flow, Shape } from "./flow.ts";
import { NO_RELATION } from "./run.ts";
import type { Run } from "./run.ts";
import type { Env, Item, Open } from "./scope.ts";
import { openTo } from "./scope.ts";
import { catalogColumns } from "./server-catalogs.ts";
import { rowOrigin, systemColumn, tableColumns } from "./tables.ts";
import { viewColumns } from "./views.ts";

export type Candidate =
  | { kind: "observed"; relation: Relation }
  | { kind: "temporary"; name: string; shape: Shape | undefined }
  | { kind: "catalog"; schema: string; name: string }
  | { kind: "unknown"; why: string };

const HIDDEN: Candidate = { kind: "unknown", why: "a hidden catalog" };
const STALE = "the schema has changed since it was observed";
export const isView = (relation: Relation): boolean =>
  relation.kind === "view" || relation.kind === "materialized-view";

/** Every relation that the name could mean, the likeliest first. */
export function candidates(rangeVar: JsonObject, env: Env, run: Run): Candidate[] {
  const { index, database, stale } = run.names;
  const name = text(rangeVar["relname"]) ?? "";
  const schema = text(rangeVar["schemaname"]);
  const catalog = text(rangeVar["catalogname"]);
  if (catalog !== undefined && catalog !== database)
    return [{ kind: "unknown", why: "a relation of another database" }];
  if (schema === undefined) return env.serverWritten ? [ofCatalog(name)] : unqualified(name, run);
  if (isTemporarySchema(schema)) return [temporary(name, run)];
  const own = catalogKind(schema, name);
  if (own !== undefined) return [own === "catalog" ? { kind: own, schema, name } : HIDDEN];
  const found = (index?.named(name, schema) ?? []).map((relation): Candidate => ({ kind: "observed", relation }));
  if (found.length === 0) return [{ kind: "unknown", why: NO_RELATION }];
  return stale && !env.serverWritten ? [...found, { kind: "unknown", why: STALE }] : found;
}

const temporary = (name: string, run: Run): Candidate => ({
  kind: "temporary",
  name,
  shape: run.names.temporary.get(name),
});

const ofCatalog = (name: string): Candidate => {
  const kind = inCatalog(name) ? catalogKind("pg_catalog", name) : undefined;
  if (kind === undefined) return { kind: "unknown", why: NO_RELATION };
  return kind === "catalog" ? { kind, schema: "pg_catalog", name } : HIDDEN;
};

/** pg_temp is searched first, then pg_catalog unless the path says otherwise, then the path. */
function unqualified(name: string, run: Run): Candidate[] {
  const { index, searchPath, stale } = run.names;
  const found: Candidate[] = [];
  if (run.names.temporary.has(name)) found.push(temporary(name, run));
  if (inCatalog(name)) found.push(ofCatalog(name));
  const named = index?.named(name) ?? [];
  if (searchPath === undefined) {
    for (const relation of named) found.push({ kind: "observed", relation });
  } else {
    for (const schema of searchPath) {
      for (const relation of named) if (relation.schema === schema) found.push({ kind: "observed", relation });
      if (schema !== "information_schema") continue;
      const kind = catalogKind(schema, name);
      if (kind === "catalog") found.push({ kind, schema, name });
    }
  }
  if (found.length === 0) return [{ kind: "unknown", why: NO_RELATION }];
  if (stale && found.some(({ kind }) => kind === "observed")) found.push({ kind: "unknown", why: STALE });
  return found;
}

/** By which schema `schema.relation.column` may name it: the one that is written, or that the name can only mean. */
export function schemaOf(rangeVar: JsonObject, env: Env, run: Run): string | undefined {
  const written = text(rangeVar["schemaname"]);
  if (written !== undefined) return written;
  const [only, ...others] = candidates(rangeVar, env, run);
  return others.length === 0 && only?.kind === "observed" ? only.relation.schema : undefined;
}

/** The item that a relation makes in FROM, without its alias. */
export function relationItem(rangeVar: JsonObject, env: Env, run: Run): Item {
  const only = rangeVar["inh"] !== true;
  const items = candidates(rangeVar, env, run).map((candidate) => candidateItem(candidate, only, run));
  const [first, ...others] = items;
  if (first === undefined) return bare({ columns: [], open: undefined });
  return others.length === 0 ? first : eitherItem([first, ...others]);
}

function candidateItem(candidate: Candidate, only: boolean, run: Run): Item {
  const { index } = run.names;
  switch (candidate.kind) {
    case "observed": {
      const { relation } = candidate;
      if (index === undefined) return unknownItem(run, NO_RELATION);
      const columns = isView(relation) ? viewColumns(relation, run) : tableColumns(relation, index, only);
      const system = isView(relation) ? undefined : (name: string) => systemColumn(relation, name);
      return { ...bare({ columns, open: undefined }), system, rowOrigins: rowOrigin(relation) };
    }
    case "temporary":
      run.usesTemporary = true;
      return temporaryItem(candidate.name, candidate.shape);
    case "catalog":
      return catalogItem(candidate.schema, candidate.name, run);
    case "unknown":
      return unknownItem(run, candidate.why);
  }
}

/** Columns of the server's catalogs describe; they have nothing of what is stored. */
const CATALOG: Flow = { ...NOTHING, origins: UNOBSERVED_ORIGIN };

function catalogItem(schema: string, name: string, run: Run): Item {
  const names = catalogColumns(schema, name, run.names.index?.serverMajor ?? 0);
  const columns = (names ?? []).map((column) => ({ name: column, flow: CATALOG }));
  const system = (column: string): Flow | undefined => (systemColumnNames.has(column) ? CATALOG : undefined);
  const open = names === undefined ? openTo(CATALOG) : undefined;
  return { ...bare({ columns, open: undefined }), open, system, rowOrigins: UNOBSERVED_ORIGIN };
}

const bare = ({ columns }: Shape): Item => ({
  name: undefined,
  schema: undefined,
  columns,
  open: undefined,
  system: undefined,
  rowOrigins: rowOrigin(undefined),
  columnsVisible: true,
  nameVisible: true,
});

function unknownItem(run: Run, why: string): Item {
  const flow: Flow = { ...run.unknown(why), origins: UNOBSERVED_ORIGIN };
  return { ...bare({ columns: [], open: undefined }), open: openTo(flow), rowOrigins: UNOBSERVED_ORIGIN };
}

function temporaryItem(name: string, shape: Shape | undefined): Item {
  const named = (column: string): Flow => ({
    ...NOTHING,
    exact: false,
    temporary: [`${name}.${column}`],
    origins: UNOBSERVED_ORIGIN,
  });
  if (shape === undefined || shape.open !== undefined) {
    const open: Open = { whole: named("*"), of: named };
    return { ...bare({ columns: [], open: undefined }), open, rowOrigins: UNOBSERVED_ORIGIN };
  }
  const columns = shape.columns.map((column) => ({
    name: column.name,
    flow: { ...column.flow, origins: UNOBSERVED_ORIGIN },
  }));
  const system = (column: string): Flow | undefined =>
    systemColumnNames.has(column) ? { ...NOTHING, origins: UNOBSERVED_ORIGIN } : undefined;
  return { ...bare({ columns, open: undefined }), system, rowOrigins: UNOBSERVED_ORIGIN };
}

const systemColumnNames = new Set(["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"]);

/** One name, several relations. */
function eitherItem(items: readonly Item[]): Item {
  const shape = eitherShape(items.map((item) => ({ columns: item.columns, open: item.open?.whole })));
  const rowOrigins = items.flatMap((item) => item.rowOrigins);
  if (shape.open === undefined) {
    const system = (name: string): Flow | undefined => combined(items.map((item) => item.system?.(name)));
    return { ...bare(shape), system, rowOrigins };
  }
  const whole = rowOf({ columns: [], open: shape.open });
  // A name that none of them has as a column is a call with the whole row.
  const of = (name: string): Flow =>
    combined(items.map((item) => item.columns.find((c) => c.name === name)?.flow ?? item.open?.of(name))) ?? whole;
  const system = (name: string): Flow | undefined => combined(items.map((item) => item.system?.(name)));
  return { ...bare({ columns: [], open: undefined }), open: { whole, of }, system, rowOrigins };
}

function combined(flows: readonly (Flow | undefined)[]): Flow | undefined {
  const found = flows.filter((flow) => flow !== undefined);
  if (found.length === 0) return undefined;
  return { ...join(found, true), origins: found.flatMap((flow) => flow.origins) };
}
