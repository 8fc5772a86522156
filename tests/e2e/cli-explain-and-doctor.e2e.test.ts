import { fileURLToPath } from "node:url";
import pg from "pg";
import { expect, inject, test } from "vitest";
import { run, type Ended } from "../harness/clients.ts";

/** `sallyport explain` and `sallyport doctor` against a whole gateway. */

const gateway = inject("gateway");
const MAIN = fileURLToPath(new URL("../../services/cli/src/main.ts", import.meta.url));

function sallyport(profile: string, ...args: string[]): Promise<Ended> {
  return run(process.execPath, [MAIN, "--profile", profile, ...args], {
    env: { SALLYPORT_HOME: gateway.stateDir, NODE_NO_WARNINGS: "1" },
  });
}

interface Explained {
  principal: string;
  command: { outcome: string; reason: string; policies: string[]; holds: { group: string; quorum: number }[] };
  actions: string[];
  objects: { name: string; access: string[] }[];
  probes: string[];
  probedClasses: string[];
  hiddenClasses: string[];
  results: { statement: number; columns: { name: string; origins: string[]; class: string; shown: string }[] }[];
}

async function explained(profile: string, ...args: string[]): Promise<Explained> {
  const ended = await sallyport(profile, "--format", "json", "explain", ...args);
  expect(ended.err).toBe("");
  return JSON.parse(ended.out) as Explained;
}

const shownOf = (answer: Explained): Record<string, string> =>
  Object.fromEntries(answer.results[0]!.columns.map(({ name, shown }) => [name, shown]));

test("each column is told with its origins, its class and what one would see", async () => {
  const sql = "SELECT name, email, lower(email) AS low, count(*) FROM customers WHERE phone = '+1' GROUP BY 1, 2";
  const engineer = await explained("engineer", "orders", sql);
  expect(engineer).toMatchObject({ principal: "user:engineer", command: { outcome: "forward" }, actions: ["read"] });
  expect(engineer.objects).toMatchObject([{ name: "public.customers", access: ["read"] }]);
  const columns = new Map(engineer.results[0]!.columns.map((column) => [column.name, column]));
  expect(columns.get("email")).toMatchObject({ origins: ["public.customers.email"], class: "email" });
  expect(columns.get("low")).toMatchObject({ origins: ["public.customers.email"] });
  expect(columns.get("count")).toMatchObject({ origins: [], shown: "clear" });
  expect(shownOf(engineer)).toMatchObject({ name: "clear" });
  expect(shownOf(engineer)["email"]).not.toBe("clear");
  expect(shownOf(engineer)["low"]).not.toBe("clear");
  expect(engineer.probes).toContain("public.customers.phone");
  expect(engineer.probedClasses).toContain("phone");
  expect(engineer.hiddenClasses).toEqual(expect.arrayContaining(["email", "payment-card", "phone"]));

  // A DBA sees how customers are reached.
  const dba = await explained("dba", "orders", sql);
  expect(shownOf(dba)).toMatchObject({ email: "clear", low: "clear" });
  expect(dba.probedClasses).toEqual([]);
});

test("nothing is run, and nothing of the target's data is told", async () => {
  const before = await target("SELECT count(*)::int AS n, min(email) AS email FROM customers");
  const ended = await sallyport("dba", "explain", "orders", "DELETE FROM customers WHERE id = 1 RETURNING email");
  expect(ended.code).toBe(0);
  expect(ended.out).toContain("public.customers");
  expect(ended.out).not.toContain("@");
  expect(await target("SELECT count(*)::int AS n, min(email) AS email FROM customers")).toEqual(before);
});

test("a hold is told with its group and quorum, a refusal with its policy's sentence", async () => {
  const held = await explained("engineer", "orders", "DELETE FROM orders WHERE id = 9");
  expect(held.command).toMatchObject({ outcome: "hold", holds: [{ group: "dba", quorum: 1 }] });
  const table = await sallyport("engineer", "explain", "orders", "DROP TABLE orders");
  expect(table.code).toBe(0);
  expect(table.out).toMatch(/outcome +refused: ./);
  const csv = await sallyport("engineer", "--format", "csv", "explain", "orders", "SELECT id FROM orders");
  expect(csv.out.split("\r\n")[0]).toBe("statement,column,origins,class,shown,why");
  expect(csv.out).toContain("public.orders.id");
});

test("somebody else's command needs audit, and is in the log", async () => {
  const refused = await sallyport("engineer", "explain", "--as", "user:dba", "orders", "SELECT email FROM customers");
  expect(refused.code).toBe(4);
  const marker = `explained_${Date.now()}`;
  const sql = `SELECT email AS ${marker} FROM customers`;
  expect(shownOf(await explained("security", "--as", "user:dba", "orders", sql))[marker]).toBe("clear");
  expect(shownOf(await explained("security", "--as", "user:engineer", "orders", sql))[marker]).not.toBe("clear");
  // Security may not connect, so it has nothing to explain of its own.
  const [stranger, own] = await Promise.all([
    sallyport("security", "explain", "--as", "user:stranger", "orders", sql),
    sallyport("security", "explain", "orders", sql),
  ]);
  expect([stranger.code, own.code]).toEqual([5, 4]);
  await expect
    .poll(
      async () =>
        (
          await sallyport(
            "security",
            "--format",
            "json",
            "sql",
            "SELECT kind, sensitive, data FROM event_log WHERE kind = 'command-explained'",
          )
        ).out,
      { timeout: 60_000, interval: 1_000 },
    )
    .toContain("user:security");
});

test("doctor looks at the target anew and prints what to grant", async () => {
  // The first login observes anyway; doctor must not need one.
  const ended = await sallyport("security", "--format", "json", "doctor", "orders");
  expect(ended.err).toBe("");
  const findings = JSON.parse(ended.out) as { level: string; check: string; message: string; statements: string[] }[];
  const of = (check: string) => findings.filter((one) => one.check === check);
  expect(of("reachable")).toMatchObject([{ level: "ok" }]);
  expect(of("reachable")[0]!.message).toContain("edge-postgres");
  expect(of("version")).toMatchObject([{ level: "ok" }]);
  expect(of("settings")).toMatchObject([{ level: "ok" }]);
  expect(of("read-role")[0]!.level).toBe("advice");
  // The demo's role owns its tables; nobody may see card numbers.
  const columns = of("columns")
    .map(({ message }) => message)
    .join("\n");
  expect(columns).toContain("owns public.customers");
  expect(columns).toContain("card_number (payment-card)");
  expect(columns).not.toContain("email");
  const statements = of("columns").flatMap((one) => one.statements);
  expect(statements[0]).toBe(`REVOKE SELECT ON "public"."customers" FROM "sallyport_app";`);
  expect(statements[1]).toMatch(/^GRANT SELECT \("id", "name", .*\) ON "public"\."customers" TO "sallyport_app";$/);
  expect(statements[1]).not.toContain("card_number");
});

test("what has appeared at the target is seen at once; engineers may not look", async () => {
  const [engineer, nowhere] = await Promise.all([
    sallyport("engineer", "doctor", "sandbox"),
    sallyport("security", "doctor", "--cached", "orders/nosuch"),
  ]);
  expect([engineer.code, nowhere.code]).toEqual([4, 5]);
  const cards = 'odd "name"';
  await target(
    'CREATE TABLE "odd ""name""" (id int, card_number text); GRANT SELECT ON "odd ""name""" TO PUBLIC',
    "sandbox",
  );
  try {
    const ended = await sallyport("security", "doctor", "sandbox");
    expect(ended.out).toContain(`public.${cards}: card_number (payment-card)`);
    expect(ended.out).toContain(`REVOKE SELECT ON "public"."odd ""name""" FROM PUBLIC;`);
    expect(ended.out).toContain(`GRANT SELECT ("id") ON "public"."odd ""name""" TO "sallyport_app";`);

    // What is printed is what helps: the role cannot read the column any more, nor could anybody through the gateway.
    await target('INSERT INTO "odd ""name""" VALUES (1, \'4111 1111 1111 1111\')', "sandbox");
    const lines = ended.out.split("\n").map((line) => line.trim());
    for (const line of lines.filter((one) => one.endsWith(";") && one.includes("odd"))) await target(line, "sandbox");
    await expect(target('SELECT card_number FROM "odd ""name"""', "sandbox")).rejects.toMatchObject({ code: "42501" });
    expect(await target('SELECT id FROM "odd ""name"""', "sandbox")).toEqual([{ id: 1 }]);
    const after = await sallyport("security", "--format", "json", "doctor", "sandbox");
    const listed = (JSON.parse(after.out) as { check: string; level: string; message: string }[]).filter(
      ({ check, level }) => check === "columns" && level === "advice",
    );
    expect(JSON.stringify(listed)).not.toContain("odd");
  } finally {
    await target('DROP TABLE IF EXISTS "odd ""name"""', "sandbox");
  }
});

async function target(sql: string, database = "orders"): Promise<unknown[]> {
  const client = new pg.Client({ ...gateway.target, database });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
