import type { Classification, Relation } from "@sallyport/proto/catalog_model";
import { ColumnPlan_Action, type PlanResult, type ResultColumn } from "@sallyport/proto/masking";
import { Access, type RelationFact } from "@sallyport/proto/verdict";
import { beforeEach, describe, expect, test } from "vitest";
import {
  column,
  type ColumnOf,
  CUSTOMERS,
  event,
  fact,
  INT4,
  ORDERS,
  PlanWorld,
  relation,
  rule,
  RULES,
  schemaOf,
  TEXT,
} from "../../testing/plan-world.ts";

const JSON_TYPE = 114;
const JSONB = 3802;

let world: PlanWorld;
const configure = (classifications: Classification[]): void => world.configure(classifications);
const observe = (...relations: Relation[]): void => world.observe(...relations);
const plan = (columns: ResultColumn[], more: Partial<PlanResult> = {}) => world.plan(columns, more);
const actions = (columns: ResultColumn[], more: Partial<PlanResult> = {}) => world.actions(columns, more);

beforeEach(() => {
  world = new PlanWorld();
});

describe("a column with an origin", () => {
  test("goes by the classes of that column", async () => {
    const all = [1, 2, 3, 4, 5, 6].map((number) => column(CUSTOMERS.oid, number, number === 1 ? INT4 : TEXT));
    expect(await actions(all)).toEqual(["pass", "redact", "partial", "hash", "null", "scan"]);
    expect((await plan(all)).columns.map((c) => c.class)).toEqual([
      "",
      "name",
      "email",
      "phone",
      "secret",
      "free-text",
    ]);
    expect((await plan(all)).columns[1]?.redact?.replacement).toBe("<name>");
    expect((await plan(all)).columns[2]?.relation).toBe("public.customers");
  });

  test("passes, with its class, for whom nothing is hidden", async () => {
    const result = await plan([column(CUSTOMERS.oid, 3)], { hiddenClasses: [] });
    expect(result.columns[0]).toMatchObject({ action: ColumnPlan_Action.ACTION_PASS, class: "email" });
    expect(result.scrubText).toBe(false);
  });

  test("the whole row is masked whole, system columns pass", async () => {
    expect(await actions([column(CUSTOMERS.oid, 0, 90_001), column(CUSTOMERS.oid, -1, 27)])).toEqual(["null", "pass"]);
  });

  test("types that cannot hold a mask become NULL; JSON stays JSON, in binary too", async () => {
    expect(
      await actions([column(CUSTOMERS.oid, 3, 20), column(CUSTOMERS.oid, 3, 1009), column(CUSTOMERS.oid, 4, 17)]),
    ).toEqual(["null", "null", "null"]);
    const json = await plan([column(CUSTOMERS.oid, 3, JSON_TYPE), column(CUSTOMERS.oid, 3, JSONB, true)]);
    expect(json.columns.map((c) => c.redact?.replacement)).toEqual(['"[redacted]"', '\u0001"[redacted]"']);
  });

  test("of an unknown relation or column is masked, and the schema is stale", async () => {
    const unknown = await plan([column(99_999, 1), column(CUSTOMERS.oid, 17)]);
    expect(unknown.columns.map((c) => c.action)).toEqual([
      ColumnPlan_Action.ACTION_REDACT,
      ColumnPlan_Action.ACTION_REDACT,
    ]);
    expect(unknown.staleSchema).toBe(true);
    expect((await plan([column(99_999, 1)], { relations: [fact("temp")] })).staleSchema).toBe(false);
  });

  test("of a catalog passes unless the statement reads what policy calls unknown", async () => {
    const catalog = { ...fact("pg_class"), kind: "catalog" };
    expect(await actions([column(1_259, 2, 19)], { relations: [catalog] })).toEqual(["pass"]);
    const hiddenCatalog = { ...fact("pg_stats"), kind: "unknown" };
    expect(await actions([column(12_345, 2, 19)], { relations: [hiddenCatalog] })).toEqual(["redact"]);
  });
});

describe("a column without an origin", () => {
  const expression = column(0, 0);
  test.each<[string, Partial<PlanResult>, string, boolean]>([
    ["over a relation with hidden columns is masked", {}, "redact", true],
    ["over other relations passes", { relations: [fact(ORDERS)] }, "pass", false],
    ["over nothing passes", { relations: [] }, "pass", false],
    ["by name, when policy knew no oid", { relations: [{ ...fact(CUSTOMERS), oid: 0 }] }, "redact", true],
    ["over what was never observed is masked", { relations: [fact("elsewhere")] }, "redact", true],
    ["over a temporary table is masked", { relations: [fact("temp")] }, "redact", true],
    ["with unknown sources is masked", { relations: [], unknownSources: true }, "redact", true],
    ["in a transaction that changed the schema is masked", { relations: [], schemaTouched: true }, "redact", true],
    ["passes for whom nothing is hidden", { hiddenClasses: [] }, "pass", false],
    ["of what only others may not see passes", { hiddenClasses: ["salary"] }, "pass", false],
  ])("%s", async (_name, request, action, scrub) => {
    expect(await actions([expression], request)).toEqual([action]);
    expect((await plan([expression], request)).scrubText).toBe(scrub);
  });

  test("names every class it could hold, for later readers of the log", async () => {
    expect((await plan([expression], { hiddenClasses: [] })).columns[0]?.class).toBe(
      "email+free-text+name+phone+secret",
    );
  });

  test("of a database that was never observed is masked, and the schema is stale where an origin is named", async () => {
    const elsewhere = { connection: "new", database: "new" };
    expect(await actions([expression, column(20_001, 1)], elsewhere)).toEqual(["redact", "redact"]);
    expect((await plan([column(20_001, 1)], elsewhere)).staleSchema).toBe(true);
    expect(await actions([expression], { ...elsewhere, relations: [] })).toEqual(["pass"]);
  });
});

describe("binding is sticky", () => {
  const passes = async (number: number, oid = CUSTOMERS.oid): Promise<boolean> =>
    (await actions([column(oid, number)]))[0] === "pass";

  test("renaming a column, a table or a schema declassifies nothing", async () => {
    const renamed = relation(CUSTOMERS.oid, "people", [["id", INT4], ["a"], ["b"], ["c"], ["d"], ["e"]], {
      schema: "archive",
    });
    observe(renamed, ORDERS);
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map((number) => passes(number)));
    expect(all).toEqual([true, false, false, false, false, false]);
  });

  test("a table that leaves the observation and comes back is still classified", async () => {
    observe(ORDERS);
    observe(relation(CUSTOMERS.oid, "people", [["id", INT4], ["a"], ["b"]]), ORDERS);
    expect(await passes(3)).toBe(false);
  });

  test("a new table of the same name is classified by its own oid", async () => {
    observe({ ...CUSTOMERS, oid: 30_001 }, ORDERS);
    expect(await passes(3, 30_001)).toBe(false);
  });

  test("it ends when its rule does, and not before", async () => {
    observe(relation(CUSTOMERS.oid, "people", [["id", INT4], ["a"], ["b"], ["c"]]), ORDERS);
    configure(RULES.filter((r) => r.class !== "email"));
    expect([await passes(3), await passes(4)]).toEqual([true, false]);
    configure([...RULES, rule("name", "public.people.a")]);
    expect([await passes(3), await passes(2)]).toEqual([true, false]);
  });

  test("a rule that comes after the observation binds what was observed", async () => {
    configure([]);
    expect(await passes(3)).toBe(true);
    configure(RULES);
    expect(await passes(3)).toBe(false);
  });

  test("another server behind the connection is another database, and the first is not forgotten", async () => {
    const other = relation(CUSTOMERS.oid, "stock", [["id", INT4], ["a"], ["b"]]);
    const observeAs = (identity: string, ...relations: Relation[]): void => {
      const value = {
        connection: "orders",
        database: "orders",
        schema: { ...schemaOf(...relations), identity },
        digest: "",
        edge: "",
      };
      world.state.apply(event({ $case: "schemaObserved", value }));
    };
    observeAs("1/5", CUSTOMERS);
    observeAs("2/5", other);
    expect(await passes(3)).toBe(true);
    observeAs("1/5", other);
    expect(await passes(3)).toBe(false);
  });
});

describe("classes spread", () => {
  test("over inheritance and partitions, up and down, by name", async () => {
    const parent = relation(40_001, "people", [["id", INT4], ["contact"]], { kind: "partitioned" });
    const child = relation(40_002, "people_1", [["contact"], ["id", INT4]], { parents: [40_001] });
    const other = relation(40_003, "people_2", [["id", INT4], ["contact"]], { parents: [40_001] });
    configure([rule("email", "public.people_1.contact")]);
    observe(parent, child, other);
    expect(await actions([column(40_001, 2), column(40_002, 1), column(40_003, 2), column(40_001, 1, INT4)])).toEqual([
      "partial",
      "partial",
      "partial",
      "pass",
    ]);
  });

  test("to generated columns, which are masked whole", async () => {
    observe(relation(41_001, "users", [["email"], ["key", TEXT, [1]], ["key2", TEXT, [2]], ["x"]]));
    expect(await actions([2, 3, 4].map((number) => column(41_001, number)))).toEqual(["redact", "redact", "pass"]);
  });
});

test("a column that is of a class by its name and computed from another is masked whole", async () => {
  observe(relation(41_002, "customers", [["phone"], ["email", TEXT, [1]]]));
  expect(await actions([column(41_002, 2)])).toEqual(["redact"]);
});

describe("a view of a statement that was not followed", () => {
  const view = relation(50_001, "v", [["a"], ["b"]], { viewDefinition: "SELECT never, read, here" });
  const reading = (...reads: number[]): { relations: RelationFact[] } => ({ relations: [{ ...fact(view), reads }] });
  const a = column(view.oid, 1);
  beforeEach(() => observe(CUSTOMERS, ORDERS, view));

  test.each<[string, Partial<PlanResult>, string]>([
    ["is masked whole when it reads something hidden", reading(ORDERS.oid, CUSTOMERS.oid), "redact"],
    ["passes when it reads nothing hidden", reading(ORDERS.oid), "pass"],
    ["passes when it reads no table", reading(), "pass"],
    ["is masked when it may read more than is known", reading(ORDERS.oid, 0), "redact"],
    ["is masked when it reads what was not observed", reading(ORDERS.oid, 99_999), "redact"],
    ["is masked when the statement does not name it", { relations: [] }, "redact"],
    ["is masked while the transaction changes the schema", { ...reading(ORDERS.oid), schemaTouched: true }, "redact"],
    ["passes for whom nothing is hidden", { ...reading(CUSTOMERS.oid), hiddenClasses: [] }, "pass"],
  ])("%s, with each of its columns, its row and what is computed from it", async (_name, request, action) => {
    const shown = [a, column(view.oid, 2), column(view.oid, 0)];
    expect(await actions(shown, request)).toEqual([action, action, action]);
    if (request.relations?.length !== 0) expect(await actions([column(0, 0)], request)).toEqual([action]);
  });

  test("is of every class that it could show, for later readers", async () => {
    const label = async (request: Partial<PlanResult>) =>
      (await plan([a], { ...request, hiddenClasses: [] })).columns[0]?.class;
    expect(await label(reading(ORDERS.oid))).toBe("");
    expect(await label(reading(CUSTOMERS.oid))).toBe("email+free-text+name+phone+secret");
    configure([...RULES, rule("name", "*.v.a")]);
    expect(await label(reading(ORDERS.oid))).toBe("name");
  });
});

describe("RETURNING", () => {
  const status = column(ORDERS.oid, 3);
  test.each<[string, RelationFact[], Partial<Relation>, string]>([
    ["of plain values passes", [fact(ORDERS, Access.ACCESS_WRITE, ["status"])], {}, "pass"],
    [
      "of what was read from a hidden column is masked",
      [fact(ORDERS, Access.ACCESS_WRITE, ["status"]), fact(CUSTOMERS, Access.ACCESS_READ, ["email"])],
      {},
      "redact",
    ],
    [
      "of what was read from other columns passes",
      [fact(ORDERS, Access.ACCESS_WRITE, ["status"]), fact(CUSTOMERS, Access.ACCESS_READ, ["id"])],
      {},
      "pass",
    ],
    [
      "of a table with triggers is masked",
      [fact(ORDERS, Access.ACCESS_WRITE, ["status"])],
      { hasTriggers: true },
      "redact",
    ],
    ["of a table with rules is masked", [fact(ORDERS, Access.ACCESS_WRITE, ["status"])], { hasRules: true }, "redact"],
    ["beside a temporary table is masked", [fact(ORDERS, Access.ACCESS_WRITE, ["status"]), fact("temp")], {}, "redact"],
  ])("%s", async (_name, relations, more, expected) => {
    observe(CUSTOMERS, { ...ORDERS, ...more });
    expect(await actions([status], { relations })).toEqual([expected]);
  });
});

test("a column of several classes gets the strictest transform", async () => {
  configure([rule("email", "*.*.contact"), rule("name", "*.*.contact"), rule("free-text", "*.*.contact")]);
  observe(relation(60_001, "t", [["contact"]]));
  const [contact] = (await plan([column(60_001, 1)])).columns;
  expect(contact).toMatchObject({ action: ColumnPlan_Action.ACTION_REDACT, class: "email+free-text+name" });
  const [forSome] = (await plan([column(60_001, 1)], { hiddenClasses: ["email", "free-text"] })).columns;
  expect(forSome).toMatchObject({ action: ColumnPlan_Action.ACTION_PARTIAL });
});

test("a plan's id is a hash of its content", async () => {
  const again = async (): Promise<string> => (await plan([column(CUSTOMERS.oid, 3)])).planId;
  expect(await again()).toBe(await again());
  expect((await plan([column(CUSTOMERS.oid, 4)])).planId).not.toBe(await again());
  const before = (await plan([column(CUSTOMERS.oid, 6)])).planId;
  expect((await plan([column(CUSTOMERS.oid, 6)], { hiddenClasses: ["free-text"] })).planId).not.toBe(before);
});

test("free-text rules leave types alone in which nothing can be found", async () => {
  configure([rule("free-text", "*.*.*")]);
  observe(relation(61_001, "t", [["a", INT4], ["b", 20], ["c", 1184], ["d"]]));
  expect(
    await actions([column(61_001, 1, INT4), column(61_001, 2, 20), column(61_001, 3, 1184), column(61_001, 4)]),
  ).toEqual(["pass", "null", "pass", "scan"]);
});

test("large schemas fold and index in reasonable time", async () => {
  const columns = Array.from({ length: 20 }, (_, i): ColumnOf => [`column_${i}`]);
  const tables = Array.from({ length: 10_000 }, (_, i) =>
    relation(100_000 + i, `t${i}`, [...columns, ["email"]], { parents: i > 0 && i < 5_000 ? [100_000 + i - 1] : [] }),
  );
  // Of this thread: the machine may be busy.
  const from = process.threadCpuUsage();
  observe(...tables);
  expect(await actions([column(104_999, 21), column(104_999, 1)])).toEqual(["partial", "pass"]);
  const { user, system } = process.threadCpuUsage(from);
  expect((user + system) / 1000).toBeLessThan(10_000);
}, 60_000);
