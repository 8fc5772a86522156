/** The parts of a query's tree by their numbers in the server's headers (parsenodes.h, primnodes.h of PostgreSQL 18). */

import { childrenOf, flagOf, isNode, nodeOf, nodesOf, numberOf, wordOf } from "./node-tree.ts";
import type { TreeNode, TreeValue } from "./node-tree.ts";

export const COMMAND = { select: 1, update: 2, insert: 3, delete: 4, merge: 5, utility: 6 } as const;
export const RTE = { relation: 0, subquery: 1, join: 2, function: 3, table: 4, values: 5, cte: 6, group: 9 } as const;
export const SUBLINK = { exists: 0, any: 2, expression: 4, multiple: 5, array: 6 } as const;
export const EXCEPT = 3;
export const ON_CONFLICT_UPDATE = 2;
export const RETURNING = { old: 1, new: 2 } as const;
export const FIRST_USER_OID = 16_384;

export function entryOf(query: TreeNode, index: number): TreeNode {
  const entry = nodesOf(query, "rtable")[index - 1];
  if (entry === undefined) throw new Error(`no range table entry ${index}`);
  return entry;
}

export const commandOf = (query: TreeNode): number => numberOf(query, "commandType");

/** What it returns. */
export const resultEntries = (query: TreeNode): TreeNode[] =>
  nodesOf(query, commandOf(query) === COMMAND.select ? "targetList" : "returningList").filter(
    (target) => !flagOf(target, "resjunk"),
  );

/** The queries of a printed list, or none where it holds a utility statement. */
export function queriesOf(printed: TreeValue): TreeNode[] {
  const queries = (Array.isArray(printed) ? printed : [printed]).filter(isNode);
  return queries.filter((query) => query.tag === "QUERY" && commandOf(query) !== COMMAND.utility);
}

/** A query and those in it. */
export function queriesIn(node: TreeNode, found: TreeNode[] = []): TreeNode[] {
  if (node.tag === "QUERY") found.push(node);
  for (const child of childrenOf(node)) queriesIn(child, found);
  return found;
}

/** Which query stands in which, and which sub-select has which number in a query. */
export class QueryNest {
  readonly #parents = new Map<TreeNode, TreeNode | undefined>();
  readonly #ids = new Map<TreeNode, number>();
  readonly #subLinks = new Map<string, TreeNode>();

  constructor(trees: readonly TreeNode[]) {
    for (const tree of trees) this.#link(tree, undefined);
  }

  #link(node: TreeNode, query: TreeNode | undefined): void {
    let inside = query;
    if (node.tag === "QUERY") {
      this.#parents.set(node, query);
      this.#ids.set(node, this.#ids.size);
      inside = node;
    }
    if (node.tag === "SUBLINK" && query !== undefined)
      this.#subLinks.set(`${this.idOf(query)}/${wordOf(node, "subLinkId")}`, node);
    for (const child of childrenOf(node)) this.#link(child, inside);
  }

  idOf(query: TreeNode): number {
    return this.#ids.get(query) ?? -1;
  }

  above(query: TreeNode, levels: number): TreeNode {
    let at: TreeNode | undefined = query;
    for (let up = levels; up > 0 && at !== undefined; up--) at = this.#parents.get(at);
    if (at === undefined) throw new Error("a level above the outermost query");
    return at;
  }

  subLink(query: TreeNode, id: number): TreeNode {
    const found = this.#subLinks.get(`${this.idOf(query)}/${id}`);
    if (found === undefined) throw new Error(`no sub-select ${id}`);
    return found;
  }

  /** The query that an entry of kind RTE.cte means. */
  cte(query: TreeNode, entry: TreeNode): TreeNode {
    const name = wordOf(entry, "ctename");
    const level = this.above(query, numberOf(entry, "ctelevelsup"));
    const cte = nodesOf(level, "cteList").find((one) => wordOf(one, "ctename") === name);
    const found = cte === undefined ? undefined : nodeOf(cte, "ctequery");
    if (found === undefined) throw new Error(`no WITH ${name}`);
    return found;
  }
}

/** The results of a set operation's parts that may be in its own: not what EXCEPT takes away. */
export function shownParts(query: TreeNode, operation: TreeNode): TreeNode[] {
  if (operation.tag === "RANGETBLREF") {
    const part = nodeOf(entryOf(query, numberOf(operation, "rtindex")), "subquery");
    return part === undefined ? [] : [part];
  }
  const left = nodeOf(operation, "larg");
  // What both sides of INTERSECT have may be shown as either has it.
  const right = numberOf(operation, "op") === EXCEPT ? undefined : nodeOf(operation, "rarg");
  return [left, right].flatMap((part) => (part === undefined ? [] : shownParts(query, part)));
}
