import type { Relation } from "@sallyport/proto/catalog_model";
import type { PlanResult, ResultColumn } from "@sallyport/proto/masking";
import { Access, OutputColumn, StatementLineage } from "@sallyport/proto/verdict";
import { beforeEach, describe, expect, test } from "vitest";
import {
  column,
  CUSTOMERS,
  fact,
  INT4,
  ORDERS,
  PlanWorld,
  relation,
  rule,
  RULES,
  TEXT,
} from "../../testing/plan-world.ts";

let world: PlanWorld;
beforeEach(() => {
  world = new PlanWorld();
});

const JSONB = 3802;
const DATE = 1082;

const base = (of: Relation, number: number) => ({
  relationOid: of.oid,
  number,
  relation: `public.${of.name}`,
  name: "",
});
/** An output column; of its sources only the numbers, of CUSTOMERS. */
const from = (sources: number[], more: Partial<OutputColumn> = {}): OutputColumn =>
  OutputColumn.fromPartial({ sources: sources.map((number) => base(CUSTOMERS, number)), ...more });
const exactly = (number: number, of = CUSTOMERS): OutputColumn =>
  from([], { sources: [base(of, number)], exact: true, describedOid: of.oid, describedNumber: number });
const lineage = (outputs: OutputColumn[], more: Partial<StatementLineage> = {}): StatementLineage =>
  StatementLineage.fromPartial({ outputs, ...more });
const actions = (columns: ResultColumn[], outputs: OutputColumn[], more: Partial<PlanResult> = {}): Promise<string[]> =>
  world.actions(columns, { lineage: lineage(outputs), ...more });
const expression = column(0, 0);

describe("a statement that was followed", () => {
  test("shows a column as it stands by the transform of its class", async () => {
    const numbers = [1, 2, 3, 4, 5, 6];
    const columns = numbers.map((number) => column(CUSTOMERS.oid, number, number === 1 ? INT4 : TEXT));
    const outputs = numbers.map((number) => exactly(number));
    expect(await actions(columns, outputs)).toEqual(["pass", "redact", "partial", "hash", "null", "scan"]);
  });

  test.each<[string, OutputColumn, string, string]>([
    ["what carries nothing passes, though the statement touches hidden columns", from([]), "pass", "not classified"],
    ["what is computed from open columns passes", from([1]), "pass", "not classified"],
    ["what is computed from a hidden column is masked whole", from([3]), "redact", "derived"],
    ["one hidden source among several is enough", from([1, 3]), "redact", "derived"],
    ["an exact value of a union has the class's transform", from([1, 3], { exact: true }), "partial", "classified"],
    ["... of two classes, the strictest", from([3, 5], { exact: true }), "null", "classified"],
    ["the whole row is all of its columns", from([0]), "redact", "derived"],
    ["system columns hold nothing", from([-1, -6]), "pass", "not classified"],
    ["a source that was not observed could be anything", from([99]), "redact", "unknown column"],
    [
      "what may come from elsewhere is masked where that could be hidden",
      from([], { unknown: "x" }),
      "redact",
      "no origin",
    ],
    ["a temporary copy could be of anything", from([], { temporary: ["t.a"] }), "redact", "temporary"],
  ])("%s", async (_name, output, action, reason) => {
    expect(await actions([expression], [output])).toEqual([action]);
    const { columns } = await world.plan([expression], { lineage: lineage([output]) });
    expect(columns[0]?.reason).toBe(reason);
  });

  test.each([
    ["numbers", INT4, "null"],
    ["dates", DATE, "null"],
    ["JSON", JSONB, "redact"],
  ])("a mask is valid for the type: %s", async (_name, type, action) => {
    expect(await actions([column(0, 0, type)], [from([3])])).toEqual([action]);
    expect(await actions([column(0, 0, type)], [from([])])).toEqual(["pass"]);
  });

  test("what may come from elsewhere passes where nothing hidden could be reached", async () => {
    const unknown = from([], { unknown: "x" });
    expect(await actions([expression], [unknown], { relations: [fact(ORDERS)] })).toEqual(["pass"]);
    expect(await actions([expression], [unknown], { relations: [], unknownSources: true })).toEqual(["redact"]);
    const hiddenSource = from([3], { unknown: "x" });
    expect(await actions([expression], [hiddenSource], { relations: [fact(ORDERS)] })).toEqual(["redact"]);
  });

  test("passes for whom nothing is hidden, with its classes for later readers", async () => {
    const { columns, scrubText } = await world.plan([expression, expression, expression], {
      lineage: lineage([from([3, 4]), from([]), from([], { unknown: "x" })]),
      hiddenClasses: [],
    });
    expect(columns.map((c) => [c.action, c.class])).toEqual([
      [1, "email+phone"],
      [1, ""],
      [1, "email+free-text+name+phone+secret"],
    ]);
    expect(scrubText).toBe(false);
  });

  test("what may come from elsewhere is masked once code has run that nobody looked into: it may have laid it there", async () => {
    const [unknown, setting] = [from([], { unknown: "a setting" }), { relations: [], codeRan: true }];
    expect(await actions([expression, expression], [unknown, from([])], setting)).toEqual(["redact", "pass"]);
    expect(await actions([expression], [unknown], { ...setting, codeRan: false })).toEqual(["pass"]);
    expect((await world.plan([expression], { lineage: lineage([unknown]), ...setting })).scrubText).toBe(false);
    expect(await world.actions([expression], setting)).toEqual(["redact"]);
    world.observe(ORDERS);
    expect(await actions([expression], [unknown], setting)).toEqual(["pass"]);
  });

  test("RETURNING is what was assigned, not what the column is called", async () => {
    const status = column(ORDERS.oid, 3);
    const written = { ...exactly(3, ORDERS), sources: [base(CUSTOMERS, 3)] };
    expect(await actions([status], [written])).toEqual(["partial"]);
    expect(await actions([status], [exactly(3, ORDERS)])).toEqual(["pass"]);
    // … though another's value stands there otherwise.
    const email = column(CUSTOMERS.oid, 3);
    const literal = { ...exactly(3), sources: [] };
    const write = { relations: [fact(CUSTOMERS, Access.ACCESS_WRITE, ["email"])] };
    expect(await actions([email], [literal], write)).toEqual(["pass"]);
    expect(await actions([email], [literal])).toEqual(["partial"]);
    expect(await actions([email], [exactly(3)], write)).toEqual(["partial"]);
  });

  test("RETURNING of a table with triggers is masked where anything is hidden: they may read what the statement does not name", async () => {
    world.observe(CUSTOMERS, { ...ORDERS, hasTriggers: true });
    const write = { relations: [fact(ORDERS, Access.ACCESS_WRITE, ["status"])] };
    const unknown = { ...exactly(3, ORDERS), exact: false, unknown: "triggers" };
    const computed = from([], { unknown: "triggers" });
    expect(await actions([column(ORDERS.oid, 3), expression], [unknown, computed], write)).toEqual([
      "redact",
      "redact",
    ]);
    world.observe({ ...ORDERS, hasTriggers: true });
    expect(await actions([column(ORDERS.oid, 3)], [unknown], write)).toEqual(["pass"]);
  });

  test("what the server describes counts too: neither witness takes a class away", async () => {
    const told = from([1], { exact: true, describedOid: CUSTOMERS.oid, describedNumber: 3 });
    expect(await actions([column(CUSTOMERS.oid, 3)], [told])).toEqual(["partial"]);
    const row = from([1], { describedOid: CUSTOMERS.oid });
    expect(await actions([column(CUSTOMERS.oid, 0)], [row])).toEqual(["redact"]);
  });

  test("a generated column is masked whole", async () => {
    const users = relation(41_001, "users", [["email"], ["key", TEXT, [1]]]);
    world.observe(users);
    expect(await actions([column(users.oid, 2)], [exactly(2, users)], { relations: [fact(users)] })).toEqual([
      "redact",
    ]);
  });

  test("a view shows what the analysis found behind it; a rule that names its column counts too", async () => {
    const view = relation(50_001, "v", [["a"], ["b"], ["c"]], { viewDefinition: "SELECT never, read, here" });
    world.observe(CUSTOMERS, view);
    const shows = (number: number, sources: number[], exact: boolean): OutputColumn =>
      from(sources, { exact, describedOid: view.oid, describedNumber: number });
    const columns = [1, 2, 3].map((number) => column(view.oid, number));
    const outputs = [shows(1, [1], true), shows(2, [4], true), shows(3, [3], false)];
    expect(await actions(columns, outputs, { relations: [fact(view)] })).toEqual(["pass", "hash", "redact"]);
    world.configure([...RULES, rule("name", "*.v.a")]);
    expect(await actions(columns, outputs, { relations: [fact(view)] })).toEqual(["redact", "hash", "redact"]);
    // Through an expression the view is not described: the analysis lists its column.
    const through = from([1], { sources: [base(CUSTOMERS, 1), base(view, 1)] });
    expect(await actions([expression], [through], { relations: [fact(view)] })).toEqual(["redact"]);
  });

  test("is not relied upon while the transaction changes the schema, nor when it says that it knows nothing", async () => {
    const open = lineage([from([])]);
    expect(await world.actions([expression], { lineage: open, schemaTouched: true })).toEqual(["redact"]);
    const unknown = lineage([from([])], { unknown: "dynamic" });
    expect(await world.actions([expression], { lineage: unknown })).toEqual(["redact"]);
  });

  test("of a catalog passes: what could be of users in one, the analysis calls unknown", async () => {
    const name = from([], { describedOid: 1_259, describedNumber: 2 });
    const catalog = { ...fact("pg_class"), kind: "catalog" };
    expect(await actions([column(1_259, 2, 19)], [name], { relations: [catalog], unknownSources: true })).toEqual([
      "pass",
    ]);
  });
});

describe("where the two disagree, nothing is shown", () => {
  const disagreement = async (
    columns: ResultColumn[],
    statement: Partial<StatementLineage>,
    more: Partial<PlanResult> = {},
  ): Promise<string> => {
    const plan = await world.plan(columns, { lineage: StatementLineage.fromPartial(statement), ...more });
    expect(plan.staleSchema).toBe(plan.disagreement !== "");
    return plan.disagreement;
  };
  const email = column(CUSTOMERS.oid, 3);
  const told = (...outputs: Partial<OutputColumn>[]): Partial<StatementLineage> => ({
    outputs: outputs.map((output) => OutputColumn.fromPartial(output)),
  });

  test.each<[string, ResultColumn[], Partial<StatementLineage>, string]>([
    [
      "fewer columns",
      [email],
      told(exactly(3), exactly(1)),
      "The result has 1 column, and 2 by the analysis of the statement.",
    ],
    [
      "more columns",
      [email, email],
      told(exactly(3)),
      "The result has 2 columns, and 1 by the analysis of the statement.",
    ],
    [
      "a result where none is",
      [email],
      { silent: true },
      "The server describes a result of a statement that has none by its analysis.",
    ],
    [
      "another column",
      [column(CUSTOMERS.oid, 1), email],
      told(exactly(1), exactly(4)),
      "Column 2 of the result comes from another place than the analysis of the statement says.",
    ],
    ["another relation", [column(ORDERS.oid, 3)], told(exactly(3)), "Column 1 of"],
    ["an origin that the analysis does not have", [email], told(from([1])), "Column 1 of"],
    ["no origin where one was predicted", [expression], told(exactly(3)), "Column 1 of"],
    ["the whole row instead of a column", [column(CUSTOMERS.oid, 0)], told(exactly(3)), "Column 1 of"],
    ["what was observed where that was excluded", [email], told({ describedUnobserved: true }), "Column 1 of"],
  ])("%s", async (_name, columns, statement, sentence) => {
    expect(await disagreement(columns, statement)).toContain(sentence);
    expect(await disagreement(columns, statement, { hiddenClasses: [] })).toBe("");
    expect(await disagreement(columns, statement, { schemaTouched: true })).toBe("");
    expect(await disagreement(columns, { ...statement, unknown: "x" })).toBe("");
  });

  test("they do not on a catalog that may hold values of users", async () => {
    const unknown = { relations: [{ ...fact("pg_stats"), kind: "unknown" }] };
    expect(await disagreement([column(12_345, 2)], told(from([])), unknown)).toContain("Column 1 of");
  });

  test.each<[string, ResultColumn[], Partial<StatementLineage>]>([
    ["the same", [email], told(exactly(3))],
    ["no origin, as predicted", [expression], told(from([3]))],
    [
      "an origin that depends on the server's version",
      [email],
      told({ orDescribed: [{ oid: CUSTOMERS.oid, number: 3 }] }),
    ],
    ["none where one may be", [expression], told({ ...exactly(3), orDescribed: [{ oid: 0, number: 0 }] })],
    ["a temporary table's", [column(99_999, 1)], told({ describedUnobserved: true })],
    ["a column of a catalog, of whatever type", [column(2_601, 4)], told(from([]))],
    ["no columns at all", [], told()],
  ])("they agree on %s", async (_name, columns, statement) => {
    expect(await disagreement(columns, statement)).toBe("");
  });
});
