import { existsSync, readdirSync } from "node:fs";
import { expect, inject, test } from "vitest";
import { libpq, run } from "../harness/clients.ts";

const gateway = inject("gateway");

/** Debian keeps pgbench with the server's version. */
function findPgbench(): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).toSorted().toReversed() : [];
  const found = versions.map((version) => `${root}/${version}/bin/pgbench`).find((path) => existsSync(path));
  return found ?? "pgbench";
}

test("pgbench -i and -S run through the gateway, simple and prepared", async () => {
  const env = libpq(gateway, "dba", "sandbox");
  const made = await run(findPgbench(), ["-i", "-s", "1", "-q", "-I", "dtgp"], { env });
  expect(made.err).not.toContain("ERROR");
  expect(made.code).toBe(0);
  for (const mode of ["simple", "extended", "prepared"]) {
    const result = await run(findPgbench(), ["-n", "-S", "-M", mode, "-c", "4", "-t", "50"], { env });
    expect(result.err).not.toContain("ERROR");
    expect(result.out).toContain("number of transactions actually processed: 200/200");
  }
});

test("pg_dump of the sandbox yields the tables and their rows", async () => {
  const result = await run("pg_dump", ["--no-owner", "-t", "orders", "-t", "customers"], {
    env: libpq(gateway, "dba", "sandbox"),
  });
  expect(result.err).toBe("");
  expect(result.code).toBe(0);
  expect(result.out).toContain("CREATE TABLE public.customers");
  expect(result.out).toContain("COPY public.customers");
});

test("psql's \\d and \\copy work", async () => {
  const env = libpq(gateway, "dba", "sandbox");
  const described = await run("psql", ["-X", "-c", "\\d customers", "-c", "\\dt", "-c", "\\df"], { env });
  expect(described.err).toBe("");
  expect(described.out).toContain("card_number");
  const input = [
    "CREATE TABLE IF NOT EXISTS copied (id integer, word text);",
    "TRUNCATE copied;",
    "COPY copied FROM STDIN;",
    "1\tone",
    "2\ttwo",
    "\\.",
    "SELECT string_agg(word, ',' ORDER BY id) FROM copied;",
    "COPY copied TO STDOUT;",
    "",
  ].join("\n");
  const copied = await run("psql", ["-X", "-At", "-v", "ON_ERROR_STOP=1"], { env, input });
  expect(copied.err).toBe("");
  expect(copied.out).toContain("one,two");
  expect(copied.out).toContain("1\tone\n2\ttwo");
});

const PSYCOPG = `
import psycopg2, psycopg2.extras
connection = psycopg2.connect("")
with connection.cursor() as cursor:
    cursor.execute("SELECT id, name, email FROM customers WHERE id = %s", (4,))
    print(cursor.fetchone())
    try:
        cursor.execute("DROP TABLE customers")
    except psycopg2.Error as error:
        print("refused", error.pgcode)
connection.rollback()
with connection.cursor("portal") as cursor:
    cursor.itersize = 100
    cursor.execute("SELECT id FROM orders ORDER BY id")
    print(sum(1 for _ in cursor))
connection.close()
`;

test("a driver from another language: psycopg2 reads, is refused, goes on, and uses a server-side cursor", async () => {
  const result = await run("/usr/bin/python3", ["-c", PSYCOPG], { env: libpq(gateway, "engineer", "orders") });
  expect(result.err).toBe("");
  expect(result.out).toContain("Emil Abel");
  expect(result.out).not.toContain("emil.abel4@example.com");
  expect(result.out).toContain("refused 42501");
  expect(result.out).toMatch(/^1\d{4}$/m);
});
