import type { Relation, Schema } from "@sallyport/proto/catalog_model";
import type { JoinExpr, Node, RangeSubselect, RangeVar, SelectStmt, WithClause } from "@pgsql/types";
import { loadModule, parseSync } from "libpg-query";
import { readsOf, strings, type UserFunctions } from "./reads.ts";
import { UNKNOWN, type ColumnOrigin, type Lineage, type ViewLineage } from "./view-lineage.ts";

/** The parser is WebAssembly: loaded once, before the first definition is read. */
export const loadParser = loadModule;

const DEFINITION_LIMIT = 256 * 1024;
const DEPTH_LIMIT = 60;

/** A column as seen inside a definition. */
interface Named {
  name: string;
  origin: ColumnOrigin;
}
/** One entry of FROM. */
interface Source {
  alias: string;
  columns: Named[];
  /** columns that a JOIN … USING has merged away may be named without the alias in either source */
}
type Ctes = ReadonlyMap<string, Named[]>;

/** Thrown inside, answered with `unknown`: what the resolver does not follow. */
class NotFollowed extends Error {}

/**
 * Lineage by a view's definition, as `pg_get_viewdef` writes it with an empty search_path: plain columns, aliases, casts,
 * joins, sub-selects, common table expressions, set operations, views of views. Anything else is unknown.
 */
export class DefinitionLineage implements Lineage {
  readonly #byName = new Map<string, Relation>();
  readonly #bareNames: ReadonlyMap<string, Relation[]>;
  readonly #userFunctions: UserFunctions;

  constructor(schema: Schema) {
    for (const relation of schema.relations) this.#byName.set(`${relation.schema}.${relation.name}`, relation);
    this.#bareNames = Map.groupBy(schema.relations, (relation) => relation.name);
    this.#userFunctions = new Set(schema.functions.map((name) => name.slice(name.lastIndexOf(".") + 1)));
  }

  origins(view: Relation): ViewLineage {
    const unknown = view.columns.map(() => UNKNOWN);
    const definition = view.viewDefinition.replace(/;\s*$/, "");
    if (definition === "" || definition.length > DEFINITION_LIMIT)
      return { columns: unknown, reads: [], unbounded: true };
    try {
      const tree = parseSync(definition).stmts?.[0]?.stmt;
      const { reads, unbounded } = this.#reads(tree);
      return { columns: this.#columns(tree, view) ?? unknown, reads, unbounded };
    } catch {
      // not SQL, or so deep that the parser or the walk ran out of stack
      return { columns: unknown, reads: [], unbounded: true };
    }
  }

  #reads(tree: unknown): { reads: number[]; unbounded: boolean } {
    const { relations, unbounded } = readsOf(tree, this.#userFunctions);
    const found = relations.map(({ schema, name }) =>
      schema === undefined
        ? (this.#bareNames.get(name) ?? [])
        : [this.#byName.get(`${schema}.${name}`)].filter((r) => r !== undefined),
    );
    const reads = new Set(found.flat().map((relation) => relation.oid));
    return { reads: [...reads], unbounded: unbounded || found.some((candidates) => candidates.length === 0) };
  }

  #columns(tree: Node | undefined, view: Relation): ColumnOrigin[] | undefined {
    const select = tree && "SelectStmt" in tree ? tree.SelectStmt : undefined;
    if (!select) return undefined;
    try {
      const columns = this.#select(select, new Map(), 0);
      return columns.length === view.columns.length ? columns.map((column) => column.origin) : undefined;
    } catch (error) {
      if (error instanceof NotFollowed) return undefined;
      throw error;
    }
  }

  #select(select: SelectStmt, outer: Ctes, depth: number): Named[] {
    if (depth > DEPTH_LIMIT) throw new NotFollowed("depth");
    const ctes = this.#with(select.withClause, outer, depth);
    if (select.op !== undefined && select.op !== "SETOP_NONE") {
      if (!select.larg || !select.rarg) throw new NotFollowed("set operation");
      const left = this.#select(select.larg, ctes, depth + 1);
      const right = this.#select(select.rarg, ctes, depth + 1);
      if (left.length !== right.length) throw new NotFollowed("set operation");
      return left.map((column, i) => ({ name: column.name, origin: either(column.origin, right[i]!.origin) }));
    }
    if (select.valuesLists) throw new NotFollowed("VALUES");
    const sources = (select.fromClause ?? []).flatMap((item) => this.#from(item, ctes, depth));
    return (select.targetList ?? []).map((item) => {
      const target = "ResTarget" in item ? item.ResTarget : undefined;
      if (!target?.val) throw new NotFollowed("target");
      return { name: target.name ?? columnName(target.val), origin: originOf(target.val, sources) };
    });
  }

  #with(clause: WithClause | undefined, outer: Ctes, depth: number): Ctes {
    if (!clause) return outer;
    const ctes = new Map(outer);
    for (const item of clause.ctes ?? []) {
      const cte = "CommonTableExpr" in item ? item.CommonTableExpr : undefined;
      if (!cte?.ctename) throw new NotFollowed("WITH");
      const query = cte.ctequery && "SelectStmt" in cte.ctequery ? cte.ctequery.SelectStmt : undefined;
      if (!query || clause.recursive === true) throw new NotFollowed("WITH");
      ctes.set(cte.ctename, renamed(this.#select(query, ctes, depth + 1), strings(cte.aliascolnames)));
    }
    return ctes;
  }

  #from(item: Node, ctes: Ctes, depth: number): Source[] {
    if ("RangeTableSample" in item && item.RangeTableSample.relation)
      return this.#from(item.RangeTableSample.relation, ctes, depth + 1);
    if ("RangeVar" in item) return [this.#relation(item.RangeVar, ctes)];
    if ("RangeSubselect" in item) return [this.#subselect(item.RangeSubselect, ctes, depth)];
    if ("JoinExpr" in item) return this.#join(item.JoinExpr, ctes, depth);
    const alias = (Object.values(item)[0] as { alias?: { aliasname?: string } }).alias?.aliasname;
    if (alias === undefined) throw new NotFollowed("FROM");
    // a function or a table expression: its columns are not followed, those of the other sources are
    return [{ alias, columns: [] }];
  }

  #relation(range: RangeVar, ctes: Ctes): Source {
    const name = range.relname ?? "";
    const alias = range.alias?.aliasname ?? name;
    const names = strings(range.alias?.colnames);
    const cte = range.schemaname === undefined ? ctes.get(name) : undefined;
    if (cte) return { alias, columns: renamed(cte, names) };
    const candidates =
      range.schemaname === undefined
        ? (this.#bareNames.get(name) ?? [])
        : [this.#byName.get(`${range.schemaname}.${name}`)];
    const relation = candidates.length === 1 ? candidates[0] : undefined;
    if (!relation) return { alias, columns: [] };
    const columns = relation.columns.map((column): Named => {
      const sources = [{ oid: relation.oid, column: column.number }];
      return { name: column.name, origin: { kind: "columns", exact: true, sources } };
    });
    return { alias, columns: renamed(columns, names) };
  }

  #subselect(range: RangeSubselect, ctes: Ctes, depth: number): Source {
    const query = range.subquery && "SelectStmt" in range.subquery ? range.subquery.SelectStmt : undefined;
    if (!query) throw new NotFollowed("sub-select");
    const columns = this.#select(query, ctes, depth + 1);
    return { alias: range.alias?.aliasname ?? "", columns: renamed(columns, strings(range.alias?.colnames)) };
  }

  #join(join: JoinExpr, ctes: Ctes, depth: number): Source[] {
    if (!join.larg || !join.rarg || depth > DEPTH_LIMIT) throw new NotFollowed("join");
    const sources = [...this.#from(join.larg, ctes, depth + 1), ...this.#from(join.rarg, ctes, depth + 1)];
    const alias = join.alias?.aliasname ?? join.join_using_alias?.aliasname;
    // the alias of a join has the columns of both sides, in an order that USING changes: not followed
    return alias === undefined ? sources : [...sources, { alias, columns: [] }];
  }
}

/** Types whose casts keep the text as it is, or cut it. */
const TEXT_TYPES = new Set(["text", "varchar", "bpchar", "name", "char"]);

function originOf(node: Node, sources: readonly Source[]): ColumnOrigin {
  if ("ColumnRef" in node) {
    const fields = node.ColumnRef.fields ?? [];
    if (fields.some((field) => !("String" in field))) throw new NotFollowed("*");
    return columnOrigin(strings(fields), sources);
  }
  if ("A_Const" in node) return { kind: "columns", exact: true, sources: [] };
  if ("CollateClause" in node && node.CollateClause.arg) return originOf(node.CollateClause.arg, sources);
  if ("TypeCast" in node && node.TypeCast.arg) {
    const names = strings(node.TypeCast.typeName?.names);
    const builtIn = names.length === 1 || (names.length === 2 && names[0] === "pg_catalog");
    const inner = originOf(node.TypeCast.arg, sources);
    if (inner.kind === "unknown" || !builtIn) return UNKNOWN;
    return TEXT_TYPES.has(names.at(-1) ?? "") ? inner : { ...inner, exact: false };
  }
  return UNKNOWN;
}

function columnOrigin(path: string[], sources: readonly Source[]): ColumnOrigin {
  const name = path.at(-1) ?? "";
  if (path.length > 2) return UNKNOWN;
  const named = path.length === 2 ? sources.filter((source) => source.alias === path[0]) : sources;
  // what one source cannot tell, none can: the name could be its column
  if (named.length === 0 || named.some((source) => source.columns.length === 0)) return UNKNOWN;
  const matches = named.flatMap((source) => source.columns.filter((column) => column.name === name));
  if (matches.length === 0) return UNKNOWN;
  // several: merged by JOIN … USING, either side's value
  return matches.map((column) => column.origin).reduce(either);
}

function either(a: ColumnOrigin, b: ColumnOrigin): ColumnOrigin {
  if (a.kind === "unknown" || b.kind === "unknown") return UNKNOWN;
  return { kind: "columns", exact: a.exact && b.exact, sources: [...a.sources, ...b.sources] };
}

function columnName(node: Node): string {
  if ("ColumnRef" in node) return strings(node.ColumnRef.fields).at(-1) ?? "";
  if ("TypeCast" in node && node.TypeCast.arg) return columnName(node.TypeCast.arg);
  return "";
}

const renamed = (columns: readonly Named[], names: readonly string[]): Named[] =>
  columns.map((column, i) => ({ name: names[i] ?? column.name, origin: column.origin }));
