import type { Shown } from "@sallyport/proto/audit";
import { expect, test } from "vitest";
import { pg } from "../../testing/incident.ts";
import { PostgresFrames } from "./postgres-frames.ts";

const rights = (...revealed: string[]) => ({ revealed: new Set(revealed), texts: revealed.includes("statement-text") });
const column = (index: number, name: string, transform = "pass") => ({
  index,
  name: "",
  class: name,
  transform,
  tableOid: 0,
  columnNumber: 0,
  relation: "",
});
const cells = (shown: Shown[]): unknown[] =>
  shown.flatMap(({ what }) => (what?.$case === "row" ? [what.value.cells.map((cell) => cell.text ?? null)] : []));

const result = Buffer.concat([
  pg.rowDescription(["id", "email", "card"]),
  pg.dataRow(["1", "ada@example.org", "4000"]),
  pg.dataRow(["2", null, "5000"]),
  pg.complete("SELECT 2"),
  pg.ready(),
]);
const columns = [column(1, "email"), column(2, "payment-card", "partial")];

test("frames: cells of classes that are not revealed are masked, in the bytes and in what is shown", () => {
  const view = new PostgresFrames(rights()).view(1, result, columns);
  expect(cells(view.shown)).toEqual([
    ["1", "[masked]", "4000"],
    ["2", null, "5000"],
  ]);
  expect(view.data).toEqual(
    Buffer.concat([
      pg.rowDescription(["id", "email", "card"]),
      pg.dataRow(["1", "[masked]", "4000"]),
      pg.dataRow(["2", null, "5000"]),
      pg.complete("SELECT 2"),
      pg.ready(),
    ]),
  );
  const clear = new PostgresFrames(rights("email")).view(1, result, columns);
  expect(clear.data).toEqual(result);
});

test("frames: split at every byte, the same", () => {
  const whole = new PostgresFrames(rights()).view(1, result, columns);
  for (let at = 0; at <= result.length; at++) {
    const frames = new PostgresFrames(rights());
    // the edge names the columns with the first part only
    const first = frames.view(1, result.subarray(0, at), columns);
    const second = frames.view(1, result.subarray(at), []);
    expect(Buffer.concat([first.data, second.data]), String(at)).toEqual(whole.data);
    expect([...first.shown, ...second.shown]).toEqual(whole.shown);
  }
});

test("frames: within a command what is masked stays masked; the next command begins anew", () => {
  const frames = new PostgresFrames(rights());
  frames.view(1, result, columns);
  expect(cells(frames.view(1, pg.dataRow(["3", "c@example.org", "1"]), []).shown)).toEqual([["3", "[masked]", "1"]]);
  const next = Buffer.concat([pg.rowDescription(["id", "what", "n"]), pg.dataRow(["3", "public", "1"])]);
  expect(cells(frames.view(2, next, []).shown)).toEqual([["3", "public", "1"]]);
});

test("frames: a portal that goes on behind another command's rows is not shown in clear", () => {
  const frames = new PostgresFrames(rights());
  frames.view(1, result, columns);
  frames.view(2, Buffer.concat([pg.rowDescription(["n"]), pg.dataRow(["1"])]), []);
  expect(cells(frames.view(1, pg.dataRow(["3", "c@example.org", "1"]), []).shown)).toEqual([
    ["[masked]", "[masked]", "[masked]"],
  ]);
});

test("frames: a notification in the midst of rows changes nothing", () => {
  const frames = new PostgresFrames(rights());
  frames.view(1, result, columns);
  frames.view(0, pg.notification("x"), []);
  expect(cells(frames.view(1, pg.dataRow(["3", "c@example.org", "1"]), []).shown)).toEqual([["3", "[masked]", "1"]]);
});

test("frames: rows that no driver had described could be of any class", () => {
  const rows = Buffer.concat([pg.dataRow(["1", "ada@example.org"]), pg.complete("SELECT 1")]);
  // of a statement: it tells nothing of the result's classes, and may stand in one frame with the rows
  const statement = Buffer.concat([pg.message("t", Buffer.from([0, 0])), pg.rowDescription(["id", "email"])]);
  for (const bytes of [rows, Buffer.concat([statement, rows])]) {
    const blind = new PostgresFrames(rights("person-name")).view(1, bytes, []);
    expect(blind.data.toString()).not.toContain("ada");
    expect(cells(blind.shown)).toEqual([["[masked]", "[masked]"]]);
    expect(new PostgresFrames(rights("statement-text")).view(1, bytes, []).data).toEqual(bytes);
  }
  expect(cells(new PostgresFrames(rights()).view(1, rows, columns).shown)).toEqual([["1", "[masked]"]]);
});

test("frames: COPY data of which no classes were told is for readers of texts only", () => {
  const copy = Buffer.concat([pg.copyData("1\tada@example.org\n"), pg.complete("COPY 1")]);
  expect(new PostgresFrames(rights("email")).view(1, copy, []).data).toEqual(pg.complete("COPY 1"));
  expect(new PostgresFrames(rights("statement-text")).view(1, copy, []).data).toEqual(copy);

  // classes of a result are not those of a COPY behind it in the same command
  const out = pg.message("H", Buffer.from([0, 0, 0]));
  const revealed = rights("email", "payment-card");
  const both = new PostgresFrames(revealed).view(1, Buffer.concat([result, out, copy]), columns);
  expect(both.data).toEqual(Buffer.concat([result, out, pg.complete("COPY 1")]));
  expect(new PostgresFrames(revealed).view(1, Buffer.concat([out, copy]), columns).data).toEqual(
    Buffer.concat([out, copy]),
  );
});

test("frames: binary cells are shown in hex", () => {
  const frames = new PostgresFrames(rights());
  const { shown } = frames.view(
    1,
    Buffer.concat([pg.rowDescription(["n"], 1), pg.dataRow([Buffer.from([0, 255])])]),
    [],
  );
  expect(cells(shown)).toEqual([["\\x00ff"]]);
});

test("frames: errors and notices keep severity and code without rights on texts", () => {
  const error = pg.error({
    S: "ERROR",
    V: "ERROR",
    C: "22P02",
    M: 'invalid input syntax for type integer: "4000"',
    D: "detail 4000",
    H: "hint 4000",
  });
  const blind = new PostgresFrames(rights()).view(1, error, []);
  expect(blind.shown).toEqual([
    {
      what: {
        $case: "message",
        value: { severity: "ERROR", code: "22P02", message: "[not shown]", detail: "", hint: "" },
      },
    },
  ]);
  expect(blind.data.toString()).not.toContain("4000");
  expect(blind.data.readInt32BE(1)).toBe(blind.data.length - 1);
  const full = new PostgresFrames(rights("statement-text")).view(1, error, []);
  expect(full.data).toEqual(error);
  expect(full.shown[0]?.what).toMatchObject({ value: { detail: "detail 4000", hint: "hint 4000" } });
});

test("frames: COPY data is shown whole or not at all", () => {
  const copy = Buffer.concat([pg.copyData("1\tada@example.org\n"), pg.complete("COPY 1")]);
  const blind = new PostgresFrames(rights()).view(1, copy, columns);
  expect(blind.data).toEqual(pg.complete("COPY 1"));
  expect(JSON.stringify(blind.shown)).not.toContain("ada");
  expect(new PostgresFrames(rights("email")).view(1, copy, columns).data).toEqual(copy);
});

test("frames: keys that cancel are never shown, notifications only with rights on texts", () => {
  const bytes = Buffer.concat([pg.backendKey(), pg.notification("4000")]);
  expect(new PostgresFrames(rights()).view(0, bytes, [])).toEqual({ data: Buffer.alloc(0), shown: [] });
  expect(new PostgresFrames(rights("statement-text")).view(0, bytes, []).data).toEqual(pg.notification("4000"));
});

test("frames: what cannot be taken apart is withheld, and everything after it", () => {
  const broken: Buffer[] = [
    pg.message("?", Buffer.from("x")),
    Buffer.from([0x44, 0, 0, 0, 3, 0, 0]),
    Buffer.from([0x44, 0x7f, 0xff, 0xff, 0xff, 0, 0]),
    pg.message("D", Buffer.from([0, 1, 0, 0, 0, 9, 65])),
    pg.message("D", Buffer.from([0, 1, 0, 0, 0, 1, 65, 66])),
    pg.message("D", Buffer.from([0xff, 0xff])),
    pg.message("T", Buffer.from([0, 1, 65])),
    pg.message("E", Buffer.from("Sno end")),
  ];
  for (const bytes of broken) {
    const frames = new PostgresFrames(rights());
    const view = frames.view(1, bytes, columns);
    expect(view.data).toHaveLength(0);
    expect(JSON.stringify(view.shown)).toContain("withheld");
    expect(JSON.stringify(frames.view(1, result, columns))).not.toContain("ada");
  }
});
