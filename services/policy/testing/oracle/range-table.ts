/** What a variable of an analysed tree means: a column of something in the range table of its query, or of one outside. */

import { flagOf, isNode, listOf, nodeOf, nodesOf, numberOf, wordOf } from "./node-tree.ts";
import type { TreeNode } from "./node-tree.ts";
import { COMMAND, ON_CONFLICT_UPDATE, RETURNING, RTE, commandOf, entryOf, resultEntries } from "./query-tree.ts";
import { gathering } from "./following.ts";
import type { Following, Gathering, Place } from "./following.ts";
import type { ServerCatalog } from "./server-catalog.ts";
import { leastColumn } from "./true-column.ts";

interface ColumnOf {
  query: TreeNode;
  /** in its range table, from 1 */
  index: number;
  /** 0: the whole row */
  number: number;
  after: TreeNode | undefined;
  /** RETURNING.old, RETURNING.new; 0: neither is said */
  version: number;
}

export class RangeTable {
  readonly #catalog: ServerCatalog;
  readonly #follower: Following;

  constructor(catalog: ServerCatalog, follower: Following) {
    this.#catalog = catalog;
    this.#follower = follower;
  }

  variable(node: TreeNode, { query, after }: Place, to: Gathering): void {
    const column = {
      query: this.#follower.nest.above(query, numberOf(node, "varlevelsup")),
      index: numberOf(node, "varno"),
      number: numberOf(node, "varattno"),
      after,
      version: numberOf(node, "varreturningtype"),
    };
    // A whole row, of which one field is taken.
    const [field, ...path] = to.path;
    if (column.number === 0 && field !== undefined) this.#column({ ...column, number: field }, { ...to, path });
    else this.#column(column, to);
  }

  #column(column: ColumnOf, to: Gathering): void {
    const { query, index, number, after, version } = column;
    // System columns say where a row is.
    if (number < 0) return;
    const entry = entryOf(query, index);
    if (number === 0) {
      this.#follower.computed(to, (inner) => {
        for (let i = 1; i <= this.#width(query, entry); i++) this.#column({ ...column, number: i }, inner);
      });
      return;
    }
    const conflict = nodeOf(query, "onConflict");
    if (conflict !== undefined && numberOf(conflict, "exclRelIndex") === index) {
      this.#assigned(query, nodesOf(query, "targetList"), number, to);
      return;
    }
    if (after === query && index === numberOf(query, "resultRelation")) {
      const command = commandOf(query);
      // Whatever was put there stands in the column now, and may be said to be of it.
      const own = leastColumn();
      this.#tableAndHeirs(entry, number, gathering(own));
      for (const flow of own.flows) to.into.mayFlow.add(flow);
      if (version === RETURNING.new && command === COMMAND.delete) return;
      if (version === RETURNING.old && command === COMMAND.insert && !updates(conflict)) return;
      if (version !== RETURNING.old) {
        this.#written(query, number, to);
        return;
      }
    }
    this.#entryColumn(entry, number, { query, after: after === query ? undefined : after }, to);
  }

  #entryColumn(entry: TreeNode, number: number, place: Place, to: Gathering): void {
    const { query } = place;
    const expression = (node: TreeNode | undefined): void => this.#follower.expression(node, place, to);
    switch (numberOf(entry, "rtekind")) {
      case RTE.relation:
        this.#tableAndHeirs(entry, number, to);
        return;
      case RTE.subquery: {
        const subquery = nodeOf(entry, "subquery");
        if (subquery !== undefined) this.#follower.output(subquery, number, to);
        return;
      }
      case RTE.join:
        expression(nodesOf(entry, "joinaliasvars")[number - 1]);
        return;
      case RTE.group:
        expression(nodesOf(entry, "groupexprs")[number - 1]);
        return;
      case RTE.function:
        this.#functionColumn(entry, number, place, to);
        return;
      case RTE.table:
        this.#tableFunctionColumn(entry, number, place, to);
        return;
      case RTE.values:
        for (const row of listOf(entry, "values_lists")) {
          const cell = Array.isArray(row) ? row[number - 1] : undefined;
          if (isNode(cell)) expression(cell);
        }
        return;
      case RTE.cte:
        this.#follower.output(this.#follower.nest.cte(query, entry), number, to);
        return;
      default:
        throw new Error(`a range table entry of kind ${wordOf(entry, "rtekind")}`);
    }
  }

  /** How many columns a whole row of it has. */
  #width(query: TreeNode, entry: TreeNode): number {
    const kind = numberOf(entry, "rtekind");
    const subquery = nodeOf(entry, "subquery");
    if (subquery !== undefined) return resultEntries(subquery).length;
    if (kind === RTE.cte) return resultEntries(this.#follower.nest.cte(query, entry)).length;
    if (kind === RTE.relation) return this.#catalog.width(numberOf(entry, "relid"));
    const names = nodeOf(entry, "eref");
    return names === undefined ? 0 : listOf(names, "colnames").length;
  }

  #functionColumn(entry: TreeNode, number: number, place: Place, to: Gathering): void {
    let before = 0;
    for (const part of nodesOf(entry, "functions")) {
      before += numberOf(part, "funccolcount");
      if (number > before) continue;
      this.#follower.computed(to, (inner) => this.#follower.expression(nodeOf(part, "funcexpr"), place, inner));
      return;
    }
    // WITH ORDINALITY
  }

  /** XMLTABLE, JSON_TABLE */
  #tableFunctionColumn(entry: TreeNode, number: number, place: Place, to: Gathering): void {
    const table = nodeOf(entry, "tablefunc");
    if (table === undefined) return;
    const values = listOf(table, "colvalexprs");
    const counts =
      numberOf(table, "ordinalitycol") === number - 1 || (values.length > 0 && !isNode(values[number - 1]));
    if (counts) return;
    const fallback = listOf(table, "coldefexprs")[number - 1];
    this.#follower.computed(to, (inner) => {
      this.#follower.expression(nodeOf(table, "docexpr"), place, inner);
      if (isNode(fallback)) this.#follower.expression(fallback, place, inner);
    });
    for (const part of [...nodesOf(table, "passingvalexprs"), ...nodesOf(table, "colexprs")])
      this.#follower.aside(part, place, to.into);
  }

  /** A row of a table is as well one of its partitions' or heirs', unless it says ONLY. */
  #tableAndHeirs(entry: TreeNode, number: number, to: Gathering): void {
    const oid = numberOf(entry, "relid");
    this.#table(oid, number, to);
    const relation = this.#catalog.relation(oid);
    const name = relation?.columns.get(number)?.name;
    if (relation === undefined || name === undefined || !flagOf(entry, "inh")) return;
    for (const heir of relation.heirs) {
      for (const [theirs, column] of this.#catalog.relation(heir)?.columns ?? [])
        if (column.name === name) this.#table(heir, theirs, to);
    }
  }

  #table(oid: number, number: number, to: Gathering): void {
    const { into } = to;
    const key = `${oid}.${number}`;
    const relation = this.#catalog.relation(oid);
    if (relation === undefined) {
      const hidden = this.#catalog.hidden.get(key);
      if (hidden !== undefined) into.beyond.add(hidden);
      return;
    }
    const column = relation.columns.get(number);
    if (column === undefined) return;
    if (relation.kind === "v") {
      into.beyond.add(`the view ${relation.name}, not expanded`);
      return;
    }
    if (relation.kind === "m") {
      const definition = this.#catalog.definition(oid);
      if (definition === undefined) throw new Error(`no definition of ${relation.name}`);
      this.#follower.ofDefinition(definition, relation.position(number), into);
      return;
    }
    const contents = this.#catalog.contents.get(key);
    if (contents !== undefined) for (const copied of contents) into.flows.add(copied);
    else if (relation.temporary) into.temporary.add(`${relation.name}.${column.name}`);
    else into.flows.add(key);
    if (column.generatedFrom.length === 0) return;
    this.#follower.computed(to, (inner) => {
      for (const source of column.generatedFrom) this.#table(oid, source, inner);
    });
  }

  /** What the target's row holds after the statement. */
  #written(query: TreeNode, number: number, to: Gathering): void {
    const entry = entryOf(query, numberOf(query, "resultRelation"));
    const relation = this.#catalog.relation(numberOf(entry, "relid"));
    const command = commandOf(query);
    const before = (): void => this.#tableAndHeirs(entry, number, to);
    if (command === COMMAND.delete) {
      before();
      return;
    }
    if (relation?.changedByTrigger === true) to.into.beyond.add(`triggers of ${relation.name}`);
    const generatedFrom = relation?.columns.get(number)?.generatedFrom ?? [];
    if (generatedFrom.length > 0) {
      this.#follower.computed(to, (inner) => {
        for (const source of generatedFrom) this.#written(query, source, inner);
      });
      return;
    }
    const assigned = (list: TreeNode[]): boolean => this.#assigned(query, list, number, to);
    if (command === COMMAND.insert) {
      assigned(nodesOf(query, "targetList"));
      const conflict = nodeOf(query, "onConflict");
      if (conflict !== undefined && updates(conflict) && !assigned(nodesOf(conflict, "onConflictSet"))) before();
    } else if (command === COMMAND.update) {
      if (!assigned(nodesOf(query, "targetList"))) before();
    } else {
      for (const action of nodesOf(query, "mergeActionList")) {
        const does = commandOf(action);
        const set = does !== COMMAND.delete && assigned(nodesOf(action, "targetList"));
        if (!set && does !== COMMAND.insert) before();
      }
    }
  }

  #assigned(query: TreeNode, list: TreeNode[], number: number, to: Gathering): boolean {
    const entry = list.find((target) => numberOf(target, "resno") === number && !flagOf(target, "resjunk"));
    if (entry === undefined) return false;
    this.#follower.expression(nodeOf(entry, "expr"), { query, after: undefined }, to);
    return true;
  }
}

const updates = (conflict: TreeNode | undefined): boolean =>
  conflict !== undefined && numberOf(conflict, "action") === ON_CONFLICT_UPDATE;
