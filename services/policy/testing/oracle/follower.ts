/** Follows expressions of analysed trees down to the columns of tables. */

import { flagOf, childrenOf, nodeOf, nodesOf, numberOf, wordOf } from "./node-tree.ts";
import type { TreeNode } from "./node-tree.ts";
import { COMMAND, FIRST_USER_OID, QueryNest, SUBLINK, commandOf, resultEntries, shownParts } from "./query-tree.ts";
import { gathering } from "./following.ts";
import type { Following, Gathering, Place } from "./following.ts";
import { RangeTable } from "./range-table.ts";
import type { ServerCatalog } from "./server-catalog.ts";
import { leastColumn, merge, mergeComputed, setAside } from "./true-column.ts";
import type { TrueColumn } from "./true-column.ts";

/** Their value says nothing of their arguments' values but how many or in which place. */
const TELL_NOTHING = new Set(
  `count row_number rank dense_rank percent_rank cume_dist ntile num_nulls num_nonnulls regr_count pg_column_size pg_typeof
   pg_column_compression pg_column_toast_chunk_id`.split(/\s+/),
);
/** They show one of their argument's values. */
const SHOW_ARGUMENT = new Set(
  "min max any_value lag lead first_value last_value nth_value mode percentile_disc".split(" "),
);
/** They return what their arguments do not hold. */
const BEYOND = new Set(
  `query_to_xml cursor_to_xml table_to_xml schema_to_xml database_to_xml query_to_xml_and_xmlschema table_to_xml_and_xmlschema
   schema_to_xml_and_xmlschema database_to_xml_and_xmlschema pg_read_file pg_read_binary_file pg_ls_dir lo_get loread ts_stat
   pg_stat_get_activity pg_stat_get_backend_activity pg_mcv_list_items`.split(/\s+/),
);
const CALLED = ["funcid", "opfuncid", "aggfnoid", "winfnoid"];
const MULTIPLE_EXPRESSION = "3";

export class Follower implements Following {
  readonly nest: QueryNest;
  readonly #catalog: ServerCatalog;
  readonly #range: RangeTable;

  constructor(catalog: ServerCatalog, trees: readonly TreeNode[]) {
    this.nest = new QueryNest(trees);
    this.#catalog = catalog;
    this.#range = new RangeTable(catalog, this);
  }

  output(query: TreeNode, number: number, { path, into, seen }: Gathering): void {
    const key = `${this.nest.idOf(query)}/${number}/${path.join(".")}`;
    if (seen.has(key)) return;
    seen.add(key);
    const operation = nodeOf(query, "setOperations");
    if (operation !== undefined) {
      for (const part of shownParts(query, operation)) this.output(part, number, { path, into, seen });
      return;
    }
    const entry = resultEntries(query).find((target) => numberOf(target, "resno") === number);
    if (entry === undefined) throw new Error(`a query has no column ${number}`);
    const after = commandOf(query) === COMMAND.select ? undefined : query;
    this.expression(nodeOf(entry, "expr"), { query, after }, { path, into, seen });
  }

  aside(node: TreeNode | undefined, place: Place, into: TrueColumn): void {
    const decides = leastColumn();
    this.expression(node, place, gathering(decides));
    setAside(into, decides);
  }

  computed({ into, seen }: Gathering, fill: (inner: Gathering) => void): void {
    const inner = leastColumn();
    fill({ path: [], into: inner, seen: new Set(seen) });
    mergeComputed(into, inner);
  }

  expression(node: TreeNode | undefined, place: Place, to: Gathering): void {
    if (node === undefined) return;
    const { path, into } = to;
    const go = (part: TreeNode | undefined, inner = to): void => this.expression(part, place, inner);
    const aside = (part: TreeNode | undefined): void => this.aside(part, place, into);
    switch (node.tag) {
      case "VAR":
        this.#range.variable(node, place, to);
        return;
      case "FIELDSELECT":
        go(nodeOf(node, "arg"), { ...to, path: [numberOf(node, "fieldnum"), ...path] });
        return;
      case "ROWEXPR":
        if (path.length > 0) go(nodesOf(node, "args")[(path[0] ?? 0) - 1], { ...to, path: path.slice(1) });
        else this.computed(to, (inner) => nodesOf(node, "args").forEach((part) => go(part, inner)));
        return;
      case "CASEEXPR":
        aside(nodeOf(node, "arg"));
        for (const when of nodesOf(node, "args")) aside(nodeOf(when, "expr"));
        for (const when of nodesOf(node, "args")) go(nodeOf(when, "result"));
        go(nodeOf(node, "defresult"));
        return;
      case "COALESCEEXPR":
      case "MINMAXEXPR":
        for (const part of nodesOf(node, "args")) go(part);
        return;
      case "NULLIFEXPR":
        go(nodesOf(node, "args")[0]);
        aside(nodesOf(node, "args")[1]);
        return;
      case "NULLTEST":
      case "BOOLEANTEST":
        aside(nodeOf(node, "arg"));
        return;
      case "CONST":
      case "GROUPINGFUNC":
      case "CURRENTOFEXPR":
        return;
      case "RELABELTYPE":
      case "COERCETODOMAIN":
      case "COLLATEEXPR":
        go(nodeOf(node, "arg"));
        return;
      case "RETURNINGEXPR":
        go(nodeOf(node, "retexpr"));
        return;
      case "SUBLINK":
        aside(nodeOf(node, "testexpr"));
        this.#subLink(node, 1, to);
        return;
      case "PARAM":
        this.#parameter(node, place, to);
        return;
      case "SUBSCRIPTINGREF":
        this.#subscripts(node, place, to);
        return;
      case "AGGREF":
      case "WINDOWFUNC":
      case "FUNCEXPR":
        this.#call(node, place, to);
        return;
      default:
        this.#userCode(node, into);
        this.computed(to, (inner) => {
          for (const part of childrenOf(node)) if (part.tag !== "QUERY") go(part, inner);
        });
    }
  }

  #userCode(node: TreeNode, into: TrueColumn): void {
    for (const field of CALLED) {
      const oid = numberOf(node, field);
      const name = oid > 0 ? this.#catalog.functionName(oid) : "";
      if (oid >= FIRST_USER_OID) into.beyond.add(`the user's function ${name}`);
      else if (BEYOND.has(name)) into.beyond.add(name);
    }
  }

  #call(node: TreeNode, place: Place, to: Gathering): void {
    const { into } = to;
    this.#userCode(node, into);
    const oid = numberOf(node, "funcid") || numberOf(node, "aggfnoid") || numberOf(node, "winfnoid");
    const name = oid < FIRST_USER_OID ? this.#catalog.functionName(oid) : "";
    const args = nodesOf(node, "args").filter((part) => !flagOf(part, "resjunk"));
    const value = (part: TreeNode): TreeNode | undefined => (part.tag === "TARGETENTRY" ? nodeOf(part, "expr") : part);
    const filtered = [nodeOf(node, "aggfilter")];
    if (TELL_NOTHING.has(name)) {
      for (const part of args) this.aside(value(part), place, into);
    } else if (node.tag !== "FUNCEXPR" && SHOW_ARGUMENT.has(name)) {
      const [shown, which, fallback] = args;
      if (shown !== undefined) this.expression(value(shown), place, to);
      // lag and lead: how far; and what if there is none.
      if (which !== undefined) this.aside(value(which), place, into);
      if (fallback !== undefined) this.expression(value(fallback), place, to);
      for (const part of nodesOf(node, "aggdirectargs")) this.aside(part, place, into);
    } else {
      this.computed(to, (inner) => {
        for (const part of [...nodesOf(node, "aggdirectargs"), ...args]) this.expression(value(part), place, inner);
      });
    }
    // What it is ordered by, and what is left out.
    for (const part of nodesOf(node, "args")) if (flagOf(part, "resjunk")) filtered.push(nodeOf(part, "expr"));
    for (const part of filtered) this.aside(part, place, into);
  }

  #subscripts(node: TreeNode, place: Place, to: Gathering): void {
    const assigned = nodeOf(node, "refassgnexpr");
    const part = wordOf(node, "refcontainertype") !== wordOf(node, "refrestype") || assigned !== undefined;
    const gather = (inner: Gathering): void => {
      this.expression(nodeOf(node, "refexpr"), place, inner);
      this.expression(assigned, place, { ...inner, path: [] });
    };
    if (part) this.computed(to, gather);
    else gather(to);
    for (const index of [...nodesOf(node, "refupperindexpr"), ...nodesOf(node, "reflowerindexpr")])
      this.aside(index, place, to.into);
  }

  /** EXPR and ARRAY show what they select; ANY and ALL compare with it. */
  #subLink(node: TreeNode, number: number, to: Gathering): void {
    const kind = numberOf(node, "subLinkType");
    const select = nodeOf(node, "subselect");
    if (select === undefined || kind === SUBLINK.exists) return;
    if (kind === SUBLINK.expression || kind === SUBLINK.multiple) this.output(select, number, to);
    else if (kind === SUBLINK.array) this.computed(to, (inner) => this.output(select, number, inner));
    else {
      const compared = leastColumn();
      for (const target of resultEntries(select)) this.output(select, numberOf(target, "resno"), gathering(compared));
      setAside(to.into, compared);
    }
  }

  /** `SET (a, b) = (SELECT …)`: a parameter says which column of which sub-select. */
  #parameter(node: TreeNode, place: Place, to: Gathering): void {
    if (wordOf(node, "paramkind") !== MULTIPLE_EXPRESSION) return;
    const id = numberOf(node, "paramid");
    this.#subLink(this.nest.subLink(place.query, id >> 16), id & 0xffff, to);
  }

  ofDefinition(definition: TreeNode, position: number, into: TrueColumn): void {
    const target = resultEntries(definition)[position];
    if (target === undefined) return;
    const column = leastColumn();
    new Follower(this.#catalog, [definition]).output(definition, numberOf(target, "resno"), gathering(column));
    merge(into, column);
  }
}
