import { Classification, Schema } from "@sallyport/proto/catalog_model";
import { ColumnFlow } from "@sallyport/proto/verdict";
import { expect, test } from "vitest";
import { Schemas } from "../schema/schema-index.ts";
import { classifiedFlows } from "./classified-flows.ts";

const columns = [
  { number: 1, name: "id" },
  { number: 2, name: "email" },
];
const schemas = new Schemas();
const rule = { class: "email", connection: "*", database: "*", schema: "*", relation: "*", column: "email" };
schemas.setClassifications([Classification.fromPartial(rule)], new Set(["c"]));
const relations = [
  { oid: 1, schema: "s", name: "people", columns },
  { oid: 2, schema: "s", name: "report", columns },
];
schemas.observe("c", "d", Schema.fromPartial({ relations }));

const flow = (column: string, sources: number[], more: Partial<ColumnFlow> = {}): ColumnFlow =>
  ColumnFlow.fromPartial({
    schema: "s",
    relation: "report",
    relationOid: 2,
    column,
    sources: sources.map((number) => ({
      relationOid: 1,
      number,
      relation: "s.people",
      name: columns[number - 1]!.name,
    })),
    ...more,
  });
const kept = (...flows: ColumnFlow[]): string[] =>
  classifiedFlows(flows, schemas.of("c", "d")).map((one) => `${one.column} ← ${one.sources.map((s) => s.name).join()}`);

test("only classified values make a copy, and only where the column is not of their classes anyway", () => {
  expect(kept(flow("id", [1, 2]), flow("id", [1]), flow("email", [2]))).toEqual(["id ← email"]);
  expect(kept(flow("", [2], { relationOid: 0, relation: "made" }))).toEqual([" ← email"]);
});

test("what cannot be followed is kept, and so is everything of temporary relations", () => {
  expect(kept(flow("id", [1], { unknown: "a function" }))).toEqual(["id ← "]);
  expect(kept(flow("id", [1], { temporary: true, relationOid: 0 }))).toEqual(["id ← id"]);
});
