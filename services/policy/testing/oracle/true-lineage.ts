/**
 * Where the values of a statement's result come from, by the server's own analysed and rewritten tree: names are
 * resolved in it, views are expanded, rules applied. Nothing of the gateway's analyser is used.
 *
 * What is said here is the least that is sure: an expression carries every column below it, apart from what only decides
 * (conditions of CASE, FILTER, EXISTS, `x IN (…)`, IS NULL, what an aggregate is ordered by, the second argument of
 * NULLIF, subscripts) and from calls whose value tells nothing of their arguments' (count, row_number, …). So an
 * analysis that lacks one of these columns is too lax; one that has what decides, too, is careful (TrueColumn.mayFlow);
 * one that has more than that is too strict.
 */

import { childrenOf, flagOf, nodeOf, nodesOf, numberOf, wordOf } from "./node-tree.ts";
import type { TreeNode } from "./node-tree.ts";
import { COMMAND, SUBLINK, commandOf, entryOf, queriesIn, resultEntries } from "./query-tree.ts";
import { Follower } from "./follower.ts";
import { gathering } from "./following.ts";
import type { Place } from "./following.ts";
import type { ServerCatalog } from "./server-catalog.ts";
import { leastColumn } from "./true-column.ts";
import type { TrueColumn } from "./true-column.ts";

export interface TrueLineage {
  outputs: TrueColumn[];
  /** columns in conditions that the statement itself states, not a view's definition */
  probes: Set<string>;
  /** what is written, by the `oid.number` that it is written to */
  writes: Map<string, TrueColumn>;
}

/** `trees`: what a statement was rewritten to. */
export function trueLineage(catalog: ServerCatalog, trees: readonly TreeNode[]): TrueLineage {
  const follower = new Follower(catalog, trees);
  const writes = new Map<string, TrueColumn>();
  const probed = leastColumn();
  for (const tree of trees) {
    // What a rule has made has conditions of its own, and writes elsewhere.
    if (wordOf(tree, "querySource") !== "0") continue;
    for (const query of queriesIn(tree)) gatherWrites(follower, query, writes);
    gatherProbes(follower, tree, probed);
  }
  const result = resultOf(trees);
  const outputs = (result === undefined ? [] : resultEntries(result)).map((target) => {
    const column = leastColumn();
    if (result !== undefined) follower.output(result, numberOf(target, "resno"), gathering(column));
    return column;
  });
  return { outputs, probes: probed.flows, writes };
}

/** After a rule, another statement than the one that was sent may be the one that returns. */
function resultOf(trees: readonly TreeNode[]): TreeNode | undefined {
  const returning = trees.filter((tree) => resultEntries(tree).length > 0);
  return returning.find((tree) => flagOf(tree, "canSetTag")) ?? returning[0];
}

function gatherWrites(follower: Follower, query: TreeNode, into: Map<string, TrueColumn>): void {
  const command = commandOf(query);
  const lists = nodesOf(query, "mergeActionList").map((action) => nodesOf(action, "targetList"));
  // MERGE's own target list is of its RETURNING.
  if (command === COMMAND.insert || command === COMMAND.update) lists.push(nodesOf(query, "targetList"));
  const conflict = nodeOf(query, "onConflict");
  if (conflict !== undefined) lists.push(nodesOf(conflict, "onConflictSet"));
  for (const target of lists.flat()) {
    if (flagOf(target, "resjunk")) continue;
    const oid = numberOf(entryOf(query, numberOf(query, "resultRelation")), "relid");
    const key = `${oid}.${wordOf(target, "resno")}`;
    const column = into.get(key) ?? leastColumn();
    into.set(key, column);
    follower.expression(nodeOf(target, "expr"), { query, after: undefined }, gathering(column));
  }
}

/** Every column in a condition of a query and of those in it, views aside. */
function gatherProbes(follower: Follower, query: TreeNode, into: TrueColumn): void {
  const place = { query, after: undefined };
  for (const condition of conditionsOf(query)) probe(follower, condition, place, into);
  insideOf(follower, query, place, into);
}

function conditionsOf(query: TreeNode): TreeNode[] {
  const found: (TreeNode | undefined)[] = [];
  const clauses: TreeNode[] = [];
  for (const window of nodesOf(query, "windowClause")) {
    clauses.push(...nodesOf(window, "partitionClause"), ...nodesOf(window, "orderClause"));
    found.push(nodeOf(window, "startOffset"), nodeOf(window, "endOffset"));
  }
  // Of a set operation, they are of its result.
  if (nodeOf(query, "setOperations") === undefined)
    for (const field of ["sortClause", "groupClause", "distinctClause"]) clauses.push(...nodesOf(query, field));
  for (const clause of clauses) {
    const reference = wordOf(clause, "tleSortGroupRef");
    const entry = nodesOf(query, "targetList").find((target) => wordOf(target, "ressortgroupref") === reference);
    if (entry !== undefined) found.push(nodeOf(entry, "expr"));
  }
  for (const field of ["havingQual", "limitOffset", "limitCount", "mergeJoinCondition"])
    found.push(nodeOf(query, field));
  const conflict = nodeOf(query, "onConflict");
  if (conflict !== undefined) found.push(nodeOf(conflict, "onConflictWhere"));
  for (const action of nodesOf(query, "mergeActionList")) found.push(nodeOf(action, "qual"));
  const joins = nodeOf(query, "jointree");
  if (joins !== undefined) found.push(...joinConditions(joins));
  return found.filter((condition) => condition !== undefined);
}

function joinConditions(node: TreeNode): TreeNode[] {
  if (node.tag !== "FROMEXPR" && node.tag !== "JOINEXPR") return [];
  const parts = [...nodesOf(node, "fromlist"), nodeOf(node, "larg"), nodeOf(node, "rarg")];
  const own = nodeOf(node, "quals");
  const inner = parts.flatMap((part) => (part === undefined ? [] : joinConditions(part)));
  return own === undefined ? inner : [own, ...inner];
}

/** Conditions inside of expressions, and queries inside of queries. */
function insideOf(follower: Follower, node: TreeNode, place: Place, into: TrueColumn): void {
  for (const part of childrenOf(node)) {
    if (part.tag === "QUERY") {
      gatherProbes(follower, part, into);
      continue;
    }
    if (part.tag === "RANGETBLENTRY" && wordOf(part, "relkind") === "v") continue;
    if (part.tag === "CASEWHEN") probe(follower, nodeOf(part, "expr"), place, into);
    if (part.tag === "CASEEXPR") probe(follower, nodeOf(part, "arg"), place, into);
    if (part.tag === "AGGREF" || part.tag === "WINDOWFUNC") probe(follower, nodeOf(part, "aggfilter"), place, into);
    insideOf(follower, part, place, into);
  }
}

function probe(follower: Follower, node: TreeNode | undefined, place: Place, into: TrueColumn): void {
  if (node === undefined) return;
  if (node.tag === "VAR" || node.tag === "FIELDSELECT") {
    follower.expression(node, place, gathering(into));
    return;
  }
  const compared = node.tag === "SUBLINK" && numberOf(node, "subLinkType") === SUBLINK.any;
  const select = compared ? nodeOf(node, "subselect") : undefined;
  if (select !== undefined)
    for (const target of resultEntries(select)) follower.output(select, numberOf(target, "resno"), gathering(into));
  for (const part of childrenOf(node)) if (part.tag !== "QUERY") probe(follower, part, place, into);
}
