/** What each kind of statement answers. A kind that is not in the table may answer anything. */

import type { NamedStatement } from "@sallyport/proto/verdict";
import type { JsonObject } from "../sql/parser.ts";
import { unknownShape } from "./flow.ts";
import type { Shape } from "./flow.ts";
import type { Run } from "./run.ts";
import type { Env } from "./scope.ts";

export type Result = { kind: "silent" } | { kind: "rows"; shape: Shape };

export function resultOf(
  type: string,
  node: JsonObject,
  env: Env,
  run: Run,
  _named: readonly NamedStatement[],
): Result {
  switch (type) {
    case "SelectStmt":
      return { kind: "rows", shape: run.query(type, node, env) };
    default:
      return { kind: "rows", shape: unknownShape(run.note(`a statement that is not followed (${type})`)) };
  }
}
