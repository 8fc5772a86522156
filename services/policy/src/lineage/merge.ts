/** MERGE: each WHEN sees the rows that it is about. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { text, unwrap } from "../sql/tree.ts";
import { condition } from "./conditions.ts";
import { assignments, returning } from "./dml.ts";
import { NOTHING, join } from "./flow.ts";
import type { Flow, Shape } from "./flow.ts";
import { fromItem } from "./from-items.ts";
import type { Run } from "./run.ts";
import { below } from "./scope.ts";
import type { Env, Item } from "./scope.ts";
import { targetOf, write } from "./written.ts";
import type { Target } from "./written.ts";
import { withClause } from "./with.ts";

const items = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

export function merge(node: JsonObject, outer: Env, run: Run): Shape {
  const env = withClause(node["withClause"], outer, run);
  const target = targetOf(node["relation"], "old", env, run);
  const sources = fromItem(node["sourceRelation"], env, [], run);
  condition(node["joinCondition"], below(env, [...sources, target.item]), run);
  const assigned = new Map<string, Flow>();
  for (const item of items(node["mergeWhenClauses"])) {
    const clause = unwrap(item)?.node ?? {};
    const inner = below(env, inSight(clause, sources, target.item));
    condition(clause["condition"], inner, run);
    for (const [name, flow] of changes(clause, target, inner, run))
      assigned.set(name, join([assigned.get(name) ?? NOTHING, flow], true));
  }
  write(target, assigned, run);
  return returning(node, sources, { target, assigned, before: target.item }, env, run);
}

function inSight(clause: JsonObject, sources: readonly Item[], target: Item): Item[] {
  if (clause["matchKind"] === "MERGE_WHEN_NOT_MATCHED_BY_TARGET") return [...sources];
  return clause["matchKind"] === "MERGE_WHEN_NOT_MATCHED_BY_SOURCE" ? [target] : [...sources, target];
}

function changes(clause: JsonObject, target: Target, env: Env, run: Run): Map<string, Flow> {
  if (clause["commandType"] === "CMD_UPDATE") return assignments(clause["targetList"], env, run);
  const assigned = new Map<string, Flow>();
  if (clause["commandType"] !== "CMD_INSERT") return assigned;
  const listed = items(clause["targetList"]).map((item) => text(unwrap(item)?.node["name"]) ?? "");
  const names = listed.length > 0 ? listed : target.names;
  for (const [i, value] of items(clause["values"]).entries()) {
    const name = names[i] ?? "";
    assigned.set(name, join([assigned.get(name) ?? NOTHING, run.expression(value, env)], true));
  }
  return assigned;
}
