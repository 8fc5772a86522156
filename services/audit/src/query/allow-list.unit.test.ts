import { expect, test } from "vitest";
import { checkAst } from "./allow-list.ts";

/** What the engine prints for `SELECT `name` FROM file('x')`, with the name as it is. */
const ast = (name: string): string =>
  [
    "SelectWithUnionQuery (children 1)",
    " ExpressionList (children 1)",
    "  SelectQuery (children 2)",
    "   ExpressionList (children 1)",
    `    Identifier ${name}`,
    "   TablesInSelectQuery (children 1)",
    "    TablesInSelectQueryElement (children 1)",
    "     TableExpression (children 1)",
    "      TableIdentifier commands",
    "",
  ].join("\n");

test("allow-list: an ordinary tree", () => {
  expect(checkAst(ast("statement"), "", "log")).toEqual({ kind: "allowed" });
});

test.each([
  ["a line at the same depth", "x\n    Literal 1"],
  ["a line below", "x\n     Literal 1"],
  ["a line below, with its number", "x (children 1)\n     Literal 1\n    Literal 2"],
  ["a new root", "x\nSelectWithUnionQuery"],
  [
    "a table of its own over what follows",
    "x\n   TablesInSelectQuery (children 1)\n    TablesInSelectQueryElement (children 1)\n     Literal 1",
  ],
  ["a depth that nothing has", "x\n          Literal 1"],
  ["an empty line", "x\n\n"],
])("allow-list: a name that forges %s is refused", (_what, name) => {
  expect(checkAst(ast(name), "", "log")).toEqual({ kind: "refused", message: "it cannot be taken apart" });
});

test("allow-list: what is not known is refused", () => {
  for (const line of [
    "NodeOfTomorrow",
    "ColumnsApplyTransformer",
    "Set",
    "Function someFunctionOfTomorrow",
    "Identifier storage.event_log",
  ]) {
    expect(checkAst(ast("statement").replace("Identifier statement", line), "", "log").kind, line).toBe("refused");
  }
  expect(checkAst(ast("statement").replace("TableIdentifier commands", "Function numbers"), "", "log").kind).toBe(
    "allowed",
  );
  expect(checkAst(ast("statement").replace("TableIdentifier commands", "Function hex"), "", "log").kind).toBe(
    "refused",
  );
  expect(checkAst("", "", "log").kind).toBe("refused");
});
