/** What flows into the result of a function, aggregate or window function. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, strings, text, unwrap } from "../sql/tree.ts";
import { condition, probeOrSearch } from "./conditions.ts";
import { NOTHING, derived, join, oneOf, tainted, unnamed } from "./flow.ts";
import type { Flow } from "./flow.ts";
import { flowOf, flowOfSetting, keepsArguments } from "./function-flow.ts";
import { ownFunction } from "./own-names.ts";
import type { Run } from "./run.ts";
import type { Env } from "./scope.ts";

const items = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : []);

/** Their result is a value of an argument, as it stands there. */
const CHOOSING = new Set(["min", "max", "any_value", "first_value", "last_value", "nth_value", "lag", "lead", "mode"]);

export function call(node: JsonObject, env: Env, run: Run): Flow {
  const args = items(node["args"]).map((arg) => run.expression(arg, env));
  const order = items(node["agg_order"]).map((item) => run.expression(unwrap(item)?.node["node"], env));
  condition(node["agg_filter"], env, run);
  if (isObject(node["over"])) windowProbes(node["over"], env, run);
  // WITHIN GROUP (ORDER BY x): x is an argument.
  const within = node["agg_within_group"] === true;
  if (!within) for (const flow of order) probeOrSearch(flow, run);
  return result(node, within ? [...args, ...order] : args, env, run);
}

function result(node: JsonObject, args: readonly Flow[], env: Env, run: Run): Flow {
  const words = strings(node["funcname"]);
  const flow = join(args, true);
  const name = ownFunction(words, env, run);
  if (name === undefined) {
    // `f(t)` may be the column f of t.
    const field = words.length === 1 ? args[0]?.fields?.find((column) => column.name === words[0]) : undefined;
    if (field !== undefined && args.length === 1 && run.names.index?.hasFunction(words[0] ?? "") === false)
      return unnamed(field.flow);
    return tainted(derived(flow), run.note("a function that is not the server's own"));
  }
  if (name === "current_setting" && flowOfSetting(constant(items(node["args"])[0])) === "nothing") return NOTHING;
  // Whoever can read it there later (pg_locks, a sequence, …) is told by nothing what it was.
  if (keepsArguments(name)) for (const arg of args) run.search(arg);
  switch (flowOf(name)) {
    case "nothing":
      for (const arg of args) probeOrSearch(arg, run);
      return NOTHING;
    case "arguments":
      if (POPULATING.has(name)) return populated(args);
      return CHOOSING.has(name) ? chosen(name, args) : derived(flow);
    case "unknown":
      return tainted(derived(flow), run.note(`what ${name}() returns`));
  }
}

/** lag and lead have a third argument, for where there is no row. */
function chosen(name: string, args: readonly Flow[]): Flow {
  const [first = NOTHING, , fallback] = args;
  const shown = fallback === undefined || !name.startsWith("l") ? first : oneOf([first, fallback]);
  return { ...unnamed(join([shown, ...args.slice(1)], true)), exact: shown.exact, type: shown.type, fields: undefined };
}

/** Rows like their first argument, filled from the second. */
const POPULATING = new Set([
  "json_populate_record",
  "json_populate_recordset",
  "jsonb_populate_record",
  "jsonb_populate_recordset",
]);

function populated(args: readonly Flow[]): Flow {
  const flow = derived(join(args, false));
  return { ...flow, fields: args[0]?.fields?.map(({ name }) => ({ name, flow })) };
}

function constant(value: Json | undefined): string | undefined {
  const inner = unwrap(value);
  const of = inner?.type === "A_Const" ? inner.node["sval"] : undefined;
  return isObject(of) ? text(of["sval"]) : undefined;
}

/** PARTITION BY, ORDER BY and the bounds of a frame. */
export function windowProbes(window: JsonObject, env: Env, run: Run): void {
  for (const item of items(window["partitionClause"])) probeOrSearch(run.expression(item, env), run);
  for (const item of items(window["orderClause"])) probeOrSearch(run.expression(unwrap(item)?.node["node"], env), run);
  run.search(run.expression(window["startOffset"], env));
  run.search(run.expression(window["endOffset"], env));
}
