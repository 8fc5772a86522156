import { Classification, ColumnCopy, Schema } from "@sallyport/proto/catalog_model";
import { expect, test } from "vitest";
import { Schemas } from "./schema-index.ts";

const PEOPLE = { oid: 1, schema: "s", name: "people", columns: [{ number: 1, name: "email" }] };
const REPORT = { oid: 2, schema: "s", name: "report", columns: [{ number: 1, name: "mail" }] };
const RULES = [
  Classification.fromPartial({
    class: "email",
    connection: "*",
    database: "*",
    schema: "*",
    relation: "people",
    column: "email",
  }),
];
const COPY = ColumnCopy.fromPartial({
  schema: "s",
  relation: "report",
  column: "mail",
  sourceOid: 1,
  sourceNumber: 1,
  exact: true,
});

function classesOf(schemas: Schemas, name: string): readonly string[] {
  const index = schemas.of("c", "d");
  const relation = index?.named(name)[0];
  return index === undefined || relation === undefined ? ["not observed"] : index.classesOf(relation, 1);
}

function observed(...relations: object[]): Schemas {
  const schemas = new Schemas();
  schemas.setClassifications(RULES, new Set(["c"]));
  schemas.observe("c", "d", Schema.fromPartial({ relations }));
  return schemas;
}

test("a copy has its source's classes, whether it is there already or created later, and when its source is gone", () => {
  const schemas = observed(PEOPLE, REPORT);
  schemas.copied("c", "d", [COPY, { ...COPY, relation: "later", sourceOid: 2 }]);
  expect(classesOf(schemas, "report")).toEqual(["email"]);
  schemas.observe("c", "d", Schema.fromPartial({ relations: [PEOPLE, REPORT, { ...REPORT, oid: 3, name: "later" }] }));
  expect(classesOf(schemas, "later")).toEqual(["email"]);
  schemas.observe("c", "d", Schema.fromPartial({ relations: [{ ...REPORT, oid: 3, name: "renamed" }] }));
  expect(classesOf(schemas, "renamed")).toEqual(["email"]);
});

test("where it went is not known: any column, in any schema", () => {
  const schemas = observed(PEOPLE, REPORT);
  schemas.copied("c", "d", [{ ...COPY, schema: "", column: "*" }]);
  expect(classesOf(schemas, "report")).toEqual(["email"]);
});

test("another connection to the same database knows of the copy; another database does not", () => {
  const schemas = new Schemas();
  schemas.setClassifications(RULES, new Set(["c", "same", "other"]));
  const of = (identity: string): Schema => Schema.fromPartial({ relations: [PEOPLE, REPORT], identity });
  schemas.observe("c", "d", of("1/5"));
  schemas.observe("same", "d", of("1/5"));
  schemas.observe("other", "d", of("2/5"));
  schemas.copied("c", "d", [COPY]);
  schemas.observe("later", "d", of("1/5"));
  const seen = ["c", "same", "other", "later"].map((connection) => {
    const index = schemas.of(connection, "d");
    return index?.classesOf(index.named("report")[0]!, 1).length;
  });
  expect(seen).toEqual([1, 1, 0, 1]);
});

test("what could be of a class is of it while a rule for that class is in force", () => {
  const schemas = observed(PEOPLE, REPORT);
  schemas.copied("c", "d", [{ ...COPY, sourceOid: 0, sourceNumber: 0, class: "email" }]);
  expect(classesOf(schemas, "report")).toEqual(["email"]);
  schemas.setClassifications([], new Set(["c"]));
  expect(classesOf(schemas, "report")).toEqual([]);
});
