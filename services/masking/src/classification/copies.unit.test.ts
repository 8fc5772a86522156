import { type Classification, ColumnCopy, Schema } from "@sallyport/proto/catalog_model";
import { expect, test } from "vitest";
import { classificationKey, classOfKey, DatabaseBindings, unfollowedKey } from "./bindings.ts";
import { Copies } from "./copies.ts";

const EMAIL: Classification = {
  class: "email",
  connection: "*",
  database: "*",
  schema: "*",
  relation: "people",
  column: "email",
};
const PEOPLE = {
  oid: 1,
  schema: "s",
  name: "people",
  columns: [
    { number: 1, name: "id" },
    { number: 2, name: "email" },
  ],
};
const REPORT = { oid: 2, schema: "s", name: "report", columns: [{ number: 1, name: "mail" }] };
const schemaOf = (...relations: object[]): Schema => Schema.fromPartial({ relations });
const copyTo = (relation: string, change: Partial<ColumnCopy> = {}): ColumnCopy =>
  ColumnCopy.fromPartial({
    schema: "s",
    relation,
    column: "mail",
    sourceOid: 1,
    sourceNumber: 2,
    exact: true,
    ...change,
  });

const classesOf = (bindings: DatabaseBindings, oid: number, column: number): string[] =>
  [...bindings.of(oid, column)].map(([key, manner]) => `${classOfKey(key)} ${manner}`);

test("a copy has the class of its source, a computed one in the manner of computed ones", () => {
  const bindings = new DatabaseBindings();
  const copies = new Copies();
  copies.record([copyTo("report"), copyTo("lengths", { exact: false })]);
  bindings.bind(schemaOf(PEOPLE, REPORT, { ...REPORT, oid: 3, name: "lengths" }), [EMAIL], copies);
  expect(classesOf(bindings, 2, 1)).toEqual(["email direct"]);
  expect(classesOf(bindings, 3, 1)).toEqual(["email derived"]);
});

test("a copy of a copy, told in any order, and a table that is created after it was told of", () => {
  const bindings = new DatabaseBindings();
  const copies = new Copies();
  copies.record([copyTo("again", { sourceOid: 2, sourceNumber: 1 })]);
  bindings.bind(schemaOf(PEOPLE), [EMAIL], copies);
  copies.record([copyTo("report")]);
  bindings.bind(schemaOf(PEOPLE, REPORT, { ...REPORT, oid: 3, name: "again" }), [EMAIL], copies);
  expect(classesOf(bindings, 3, 1)).toEqual(["email direct"]);
});

test("where it went is not known: any column, in any schema", () => {
  const bindings = new DatabaseBindings();
  const copies = new Copies();
  copies.record([copyTo("report", { schema: "", column: "*" })]);
  bindings.bind(
    schemaOf(PEOPLE, REPORT, { ...REPORT, oid: 3, schema: "other" }, { ...REPORT, oid: 4, name: "no" }),
    [EMAIL],
    copies,
  );
  expect([2, 3, 4].map((oid) => classesOf(bindings, oid, 1))).toEqual([["email direct"], ["email direct"], []]);
});

test("renaming the copy loses nothing, not even for a rule that comes later", () => {
  const bindings = new DatabaseBindings();
  const copies = new Copies();
  copies.record([copyTo("report")]);
  bindings.bind(schemaOf(PEOPLE, REPORT), [], copies);
  const renamed = schemaOf(PEOPLE, { ...REPORT, name: "harmless", columns: [{ number: 1, name: "x" }] });
  bindings.bind(renamed, [EMAIL], copies);
  expect(classesOf(bindings, 2, 1)).toEqual(["email direct"]);
});

test("a table that was known by its oid is found under its new name", () => {
  const bindings = new DatabaseBindings();
  const copies = new Copies();
  copies.record([copyTo("report", { relationOid: 2 })]);
  bindings.bind(schemaOf(PEOPLE, { ...REPORT, name: "renamed" }), [EMAIL], copies);
  expect(classesOf(bindings, 2, 1)).toEqual(["email direct"]);
});

test("what could be of a class counts as computed from it, while that class is configured", () => {
  const bindings = new DatabaseBindings();
  const copies = new Copies();
  copies.record([copyTo("report", { sourceOid: 0, sourceNumber: 0, exact: false, class: "email" })]);
  bindings.bind(schemaOf(PEOPLE, REPORT), [], copies);
  expect(classesOf(bindings, 2, 1)).toEqual(["email derived"]);
  bindings.retain(new Set([unfollowedKey("email")]));
  expect(classesOf(bindings, 2, 1)).toEqual(["email derived"]);
  bindings.retain(new Set([classificationKey(EMAIL)]));
  expect(classesOf(bindings, 2, 1)).toEqual([]);
});
