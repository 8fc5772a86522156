import { readFileSync } from "node:fs";
import { type Classification, Schema } from "@sallyport/proto/catalog_model";
import { beforeAll, expect, test } from "vitest";
import { DatabaseBindings } from "../classification/bindings.ts";
import { databaseIndex, type DatabaseIndex } from "../classification/database-index.ts";
import { DefinitionLineage, loadParser } from "./definition-lineage.ts";

/**
 * Views as a real server writes their definitions, with what their columns really held when each base column held a marker
 * of its own (scripts/record-views.ts). The rule: too strict is allowed, too lax never.
 */
const recorded = JSON.parse(readFileSync(new URL("recorded-views.json", import.meta.url), "utf8")) as {
  schema: unknown;
  holds: Record<string, string[][]>;
};
const rule = (name: string, schema: string, relation: string, column = name): Classification => ({
  class: name,
  connection: "*",
  database: "*",
  schema,
  relation,
  column,
});
const RULES = [
  rule("email", "lineage", "people"),
  rule("phone", "lineage", "people"),
  rule("email", "lineage", "people", "extra"),
  rule("phone", "lineage", "people", "tags"),
  rule("email", "lineage", "log"),
  rule("note", "lineage", "orders"),
];

let index: DatabaseIndex;
beforeAll(async () => {
  await loadParser();
  const schema = Schema.fromJSON(recorded.schema);
  const bindings = new DatabaseBindings();
  bindings.bind(schema, RULES);
  const work = databaseIndex(schema, bindings, new DefinitionLineage(schema));
  for (let step = work.next(); ; step = work.next()) {
    if (step.done !== true) continue;
    index = step.value;
    break;
  }
});

const classesOf = (view: string): { direct: string[]; derived: string[] }[] =>
  [...index.byName.get(`lineage.${view}`)!.columns.values()].map(({ direct, derived }) => ({
    direct: [...direct].toSorted(),
    derived: [...derived].toSorted(),
  }));

test.each(Object.entries(recorded.holds))(
  "%s: no column shows a class that it is not known to hold",
  (view, columns) => {
    const known = classesOf(view);
    expect(known).toHaveLength(columns.length);
    columns.forEach((shown, i) => {
      for (const name of shown) expect([...known[i]!.direct, ...known[i]!.derived], `column ${i + 1}`).toContain(name);
    });
  },
);

/** Column by column: `email` as it is, `(…)` computed or not followed, `` of no class. */
test.each<[string, string[]]>([
  ["plain", ["", "", "email", "phone"]],
  ["aliased", ["email", "phone", ""]],
  ["two_tables", ["email", "", "note"]],
  ["join_using", ["", "email", "note"]],
  ["cast_text", ["phone", "email", ""]],
  ["sub_select", ["email", ""]],
  ["nested", ["email"]],
  ["lateral_", ["", "email"]],
  ["with_", ["email", ""]],
  ["with_names", ["email", "phone"]],
  ["with_nested", ["email"]],
  ["with_shadow", ["note"]],
  ["union_", ["email"]],
  ["union_all", ["", "note+phone"]],
  ["partitioned", ["email"]],
  ["one_partition", ["email"]],
  ["other_schema", ["", "email"]],
  ["view_of_view", ["email", "phone"]],
  ["view_of_view_of_view", ["phone"]],
  ["table_sample", ["email"]],
  ["only_", ["email"]],
  ["quoted", ["email", "phone"]],
  ["ordered", [""]],
  ["grouped", ["email", "(email+phone)"]],
  ["collated", ["email"]],
  ["distinct_on", ["phone", "email"]],
  ["expressions", ["(email+phone)", "(email+phone)", "(email+phone)", "(email+phone)"]],
  ["view_of_expression", ["(email+phone)"]],
])("%s is followed", (view, expected) => {
  const written = classesOf(view).map(({ direct, derived }) =>
    derived.length > 0 ? `(${derived.join("+")})` : direct.join("+"),
  );
  expect(written).toEqual(expected);
});
