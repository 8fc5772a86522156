/** FROM, as the server builds its namespace (parse_clause.c): items in order, left ones in sight of LATERAL. */

import type { Json, JsonObject } from "../sql/parser.ts";
import { isObject, strings, text, unwrap } from "../sql/tree.ts";
import { relationItem, schemaOf } from "./catalog.ts";
import { condition } from "./conditions.ts";
import { unknownShape } from "./flow.ts";
import { joinItems } from "./joins.ts";
import { rangeFunction, tableFunction } from "./range-functions.ts";
import type { Run } from "./run.ts";
import { below, findCte, itemOf, openTo } from "./scope.ts";
import type { Env, Item } from "./scope.ts";
import { renamed } from "./with.ts";

/** The items of a FROM list. `before`: items that stand there already (the target of UPDATE). */
export function fromItems(list: Json | undefined, env: Env, run: Run, before: readonly Item[] = []): Item[] {
  const items: Item[] = [...before];
  for (const entry of Array.isArray(list) ? list : []) items.push(...fromItem(entry, env, items, run));
  return items;
}

/** `left`: items that LATERAL may refer to. */
export function fromItem(value: Json | undefined, env: Env, left: readonly Item[], run: Run): Item[] {
  const inner = unwrap(value);
  const node = inner?.node ?? {};
  switch (inner?.type) {
    case "RangeVar":
      return [rangeVar(node, env, run)];
    case "RangeSubselect": {
      const query = unwrap(node["subquery"]);
      const inside = node["lateral"] === true ? below(env, left) : env;
      const shape = query === undefined ? unknownShape(run.note("syntax")) : run.query(query.type, query.node, inside);
      return [aliased(node, itemOf(undefined, shape))];
    }
    case "RangeTableSample": {
      const sampled = fromItem(node["relation"], env, left, run);
      for (const arg of [...(Array.isArray(node["args"]) ? node["args"] : []), node["repeatable"]])
        run.search(run.expression(arg, below(env, left)));
      return sampled;
    }
    case "RangeFunction":
      return [rangeFunction(node, below(env, left), run)];
    case "RangeTableFunc":
    case "JsonTable":
      return [tableFunction(inner.type, node, below(env, left), run)];
    case "JoinExpr":
      return join(node, env, left, run);
    default:
      return [itemOf(undefined, unknownShape(run.note("syntax")))];
  }
}

function rangeVar(node: JsonObject, env: Env, run: Run): Item {
  const name = text(node["relname"]);
  const cte = node["schemaname"] === undefined && name !== undefined ? findCte(env, name) : undefined;
  if (cte !== undefined) return aliased(node, itemOf(name, cte));
  return aliased(node, { ...relationItem(node, env, run), name, schema: schemaOf(node, env, run) });
}

/** An alias hides the name; a list of columns renames as many as it has. */
function aliased(node: JsonObject, item: Item): Item {
  const alias = node["alias"];
  if (!isObject(alias)) return item;
  const names = strings(alias["colnames"]);
  const { columns } = renamed({ columns: item.columns, open: undefined }, names);
  // Names by place, of columns that are not known by place.
  const open = item.open === undefined || names.length === 0 ? item.open : openTo(item.open.whole);
  return { ...item, name: text(alias["aliasname"]), schema: undefined, columns, open };
}

function join(node: JsonObject, env: Env, left: readonly Item[], run: Run): Item[] {
  const leftItems = fromItem(node["larg"], env, left, run);
  const rightItems = fromItem(node["rarg"], env, [...left, ...leftItems], run);
  const items = joinItems(node, leftItems, rightItems, run);
  // ON sees the two sides, and nothing else of this FROM.
  condition(node["quals"], below(env, [...leftItems, ...rightItems]), run);
  return items;
}
