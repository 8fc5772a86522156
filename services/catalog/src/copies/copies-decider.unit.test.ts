import { given } from "@sallyport/decider/testing";
import { ColumnCopy } from "@sallyport/proto/catalog_model";
import { test } from "vitest";
import { copiesDecider, type RecordCopies } from "./copies-decider.ts";

const copyTo = (column: string): ColumnCopy =>
  ColumnCopy.fromPartial({ schema: "s", relation: "r", column, sourceOid: 1, sourceNumber: 2, exact: true });
const record = (...columns: string[]): RecordCopies => ({
  connection: "c",
  database: "d",
  copies: columns.map(copyTo),
  edge: "edge-1",
});
const copied = (...columns: string[]) => ({ $case: "columnsCopied" as const, value: record(...columns) as never });

test("only what is new is said", () => {
  given(copiesDecider, [])
    .when(record("a", "a", "b"))
    .then([copied("a", "b")]);
  given(copiesDecider, [copied("a")])
    .when(record("a", "b"))
    .then([copied("b")]);
  given(copiesDecider, [copied("a", "b")])
    .when(record("b"))
    .then([]);
});

test("a database's copies are bounded, and what is known already is none too many", () => {
  const many = Array.from({ length: 10_000 }, (_, i) => `c${i}`);
  given(copiesDecider, [copied(...many)])
    .when(record("c1"))
    .then([]);
  given(copiesDecider, [copied(...many)])
    .when(record("another"))
    .thenRefused("exhausted", /at most 10000/);
});
