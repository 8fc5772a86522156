/**
 * What a condition tells of the columns that it looks at. Compared for equality with one value that the client gives, a
 * value must be guessed whole; with other data of a class, only equal ones are found. Everything else is a search: a
 * pattern, a range, a part or a list of values, of which a single command can spell out a whole column.
 */

import type { Json, JsonObject } from "../sql/parser.ts";
import { strings, unwrap } from "../sql/tree.ts";
import type { Flow } from "./flow.ts";
import { numberOf, oidOf } from "./flow.ts";
import { ownOperator } from "./own-names.ts";
import type { Run } from "./run.ts";
import type { Env } from "./scope.ts";

/** Values that one text may guess of a column; more of them are a list. */
const GUESSES = 3;

/** WHERE, ON, HAVING, FILTER and their like. AND, OR and NOT are looked into, without a frame of the stack for each. */
export function condition(value: Json | undefined, env: Env, run: Run): void {
  const pending: (Json | undefined)[] = [value];
  for (let at = pending.pop(); at !== undefined || pending.length > 0; at = pending.pop()) {
    if (at === undefined) continue;
    const inner = unwrap(at);
    const args = inner?.type === "BoolExpr" ? inner.node["args"] : undefined;
    if (Array.isArray(args)) pending.push(...args);
    else if (inner?.type === "A_Expr" && isEquality(inner.node, env, run)) equality(inner.node, env, run);
    else if (inner?.type === "NullTest") probeOrSearch(run.expression(inner.node["arg"], env), run);
    else run.search(run.expression(at, env));
  }
}

/** Order, groups, arguments that are only counted: of a column as it is they tell which values are equal, or greater. */
export function probeOrSearch(flow: Flow, run: Run): void {
  if (isColumn(flow)) run.probe(flow);
  else run.search(flow);
}

/** Two columns are matched: USING, NATURAL, INTERSECT, `a.x = b.y`. Whoever writes the one guesses the other. */
export function matched(left: Flow, right: Flow, run: Run): void {
  const ofClasses = (flow: Flow): boolean => isColumn(flow) && flow.sources.every((key) => isClassified(key, run));
  if (ofClasses(left) && ofClasses(right)) {
    run.probe(left);
    run.probe(right);
    return;
  }
  run.search(left);
  run.search(right);
}

function isEquality(node: JsonObject, env: Env, run: Run): boolean {
  const words = strings(node["name"]);
  return node["kind"] === "AEXPR_OP" && words[words.length - 1] === "=" && ownOperator(words, env, run);
}

function equality(node: JsonObject, env: Env, run: Run): void {
  const left = run.expression(node["lexpr"], env);
  const right = run.expression(node["rexpr"], env);
  const guessed = isGiven(node["rexpr"]) ? left : isGiven(node["lexpr"]) ? right : undefined;
  if (guessed === undefined) return matched(left, right, run);
  if (isColumn(guessed) && run.guess(guessed) <= GUESSES) run.probe(guessed);
  else run.search(guessed);
}

/** One value, whatever type it is given. */
function isGiven(value: Json | undefined): boolean {
  const inner = unwrap(value);
  if (inner?.type === "TypeCast") return isGiven(inner.node["arg"]);
  return inner?.type === "A_Const" || inner?.type === "ParamRef";
}

/** A column of a table, a view or a sub-query, as it stands there: nothing of the client's own is among its values. */
const isColumn = (flow: Flow): boolean =>
  flow.exact && flow.unknown === "" && flow.origins.every((origin) => origin.oid !== 0);

function isClassified(key: number, run: Run): boolean {
  const { index } = run.names;
  const relation = index?.withOid(oidOf(key));
  return index !== undefined && relation !== undefined && index.familyClasses(relation, numberOf(key)).size > 0;
}
