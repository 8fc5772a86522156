import { expect, test } from "vitest";
import { Marks, type Mark } from "./marks.ts";

const email: Mark = { where: "people.email 1", class: "email", text: "xzwzkvgjzq@qvgzjx.example" };
const phone: Mark = { where: "people.phone 1", class: "phone", text: "gxhx-qvwz-qkxz" };
const salary: Mark = {
  where: "people.salary 1",
  class: "private",
  text: "731907319",
  binary: Buffer.from("2ba00a97", "hex"),
};
const marks = new Marks([email, phone, salary]);

const inText = (text: string): string[] => [...new Set(marks.inBytes(Buffer.from(text)).map(({ mark }) => mark.where))];

test.each([
  ["as it is", "D xzwzkvgjzq@qvgzjx.example"],
  ["five letters of it", "…WZKVG…"],
  ["backwards", "elpmaxe.xjzgvq@qzjgvkzwzx"],
  ["with spaces", "x z w z k"],
  ["as hex", `\\x${Buffer.from("-wzkvgj").toString("hex")}`],
  ["as hex, in capitals, from the middle of a digit pair", `f${Buffer.from("wzkvgj").toString("hex").toUpperCase()}`],
  ["as base64", Buffer.from("..xzwzkvgjzq").toString("base64")],
  ["as base64, one byte later", Buffer.from("...xzwzkvgjzq").toString("base64")],
  ["URL-encoded", "%78%7a%77%7A%6b"],
  ["as JSON escapes", "\\u0078\\u007a\\u0077\\u007a\\u006b"],
  ["as references", "&#120;&#x7a;&#119;&#122;&#107;"],
  ["in octal", "\\170\\172\\167\\172\\153"],
])("a marked text is recognised %s", (_, text) => {
  expect(inText(text)).toEqual(["people.email 1"]);
});

test("separators of the value do not matter", () => {
  expect(inText("gxhxqvwz")).toEqual(["people.phone 1"]);
  expect(inText("731,907,319.00")).toEqual(["people.salary 1"]);
});

test("what masking leaves of a value is no find", () => {
  expect(inText("x*********@******.*******")).toEqual([]);
  expect(inText("****-****-**xz ****vwhz")).toEqual([]);
  expect(inText("tok_0f2b7319")).toEqual([]);
});

const cells = (...rows: (string | Buffer | null)[][]) =>
  marks
    .inCells(rows.map((row) => row.map((cell) => (typeof cell === "string" ? Buffer.from(cell) : cell))))
    .map(({ form }) => form);

test("characters in rows and columns are put together", () => {
  expect(cells(["x"], ["z"], [null], ["w"], ["z"], ["k"])).toEqual(["a column of cells"]);
  expect(cells(["x", "z", "w", "z", "k"])).toEqual(["a row of cells"]);
  expect(cells(["120"], ["122"], ["119"], ["122"], ["107"])).toEqual(["a column of character codes"]);
  const code = (n: number): Buffer => Buffer.from([0, 0, 0, n]);
  expect(cells(...[120, 122, 119, 122, 107].map((n) => [code(n)]))).toContain("a column of character codes");
});

test("a binary value is recognised", () => {
  expect(cells([Buffer.from("2ba00a97", "hex")])).toEqual(["binary"]);
});
