/** How expressions and columns are followed: what the two halves, expressions and range tables, know of each other. */

import type { TreeNode } from "./node-tree.ts";
import type { QueryNest } from "./query-tree.ts";
import type { TrueColumn } from "./true-column.ts";

/** Where an expression stands. `after`: the statement in whose RETURNING it is: the target's row is seen as it is then. */
export interface Place {
  query: TreeNode;
  after: TreeNode | undefined;
}

/** What is gathered, for one column. */
export interface Gathering {
  /** fields of the value that are wanted, the outermost first; empty: all of it */
  path: readonly number[];
  into: TrueColumn;
  /** results of queries that are being followed: recursion ends there */
  seen: Set<string>;
}

export const gathering = (into: TrueColumn): Gathering => ({ path: [], into, seen: new Set() });

export interface Following {
  readonly nest: QueryNest;
  /** The column of a query's result with that number, from 1. */
  output(query: TreeNode, number: number, to: Gathering): void;
  expression(node: TreeNode | undefined, place: Place, to: Gathering): void;
  /** Of what only decides about the value. */
  aside(node: TreeNode | undefined, place: Place, into: TrueColumn): void;
  /** Of what the value is computed from. */
  computed(to: Gathering, fill: (inner: Gathering) => void): void;
  /** A column of another tree's result, from 0: of a materialized view's definition. */
  ofDefinition(definition: TreeNode, position: number, into: TrueColumn): void;
}
