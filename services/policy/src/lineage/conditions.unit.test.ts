import { Classification, Schema } from "@sallyport/proto/catalog_model";
import { beforeAll, expect, test } from "vitest";
import { Schemas } from "../schema/schema-index.ts";
import { loadParser, parse } from "../sql/parser.ts";
import { lineageOf } from "./lineage.ts";

const columns = [
  { number: 1, name: "id", typeOid: 23, type: "integer" },
  { number: 2, name: "email", typeOid: 25, type: "text" },
];
const schemas = new Schemas();
const rule = { class: "email", connection: "*", database: "*", schema: "*", relation: "p*", column: "email" };
schemas.setClassifications([Classification.fromPartial(rule)], new Set(["c"]));
const relation = (oid: number, name: string) => ({ oid, schema: "public", name, kind: "table", columns });
const relations = [relation(20_001, "people"), relation(20_002, "partners"), relation(20_003, "guesses")];
schemas.observe("c", "d", Schema.fromPartial({ relations }));

beforeAll(() => loadParser());

/** `email`: probed; `email!`: searched */
function probesOf(sql: string): string {
  const parsed = parse(sql);
  if (parsed.kind !== "parsed") throw new Error(`does not parse: ${sql}`);
  const { probes } = lineageOf(parsed.statements, {
    index: schemas.of("c", "d"),
    database: "d",
    searchPath: ["public"],
    schemaTouched: false,
    named: [],
    temporary: [],
    syntax: () => "unknown",
  });
  return probes
    .filter(({ column }) => column?.name === "email" && column.relation !== "public.guesses")
    .map(({ column, searched }) => `${column?.relation.slice("public.".length)}${searched ? "!" : ""}`)
    .join(" ");
}

test.each([
  ["SELECT id FROM people WHERE email = 'a@b.example'", "people"],
  ["SELECT id FROM people WHERE $1 = email AND id > 5", "people"],
  ["SELECT id FROM people WHERE NOT (email = 'a'::text OR id = 3)", "people"],
  ["SELECT id FROM people WHERE email IS NOT NULL", "people"],
  ["DELETE FROM people WHERE email = 'a'", "people"],
  ["SELECT p.id FROM people p JOIN partners q ON p.email = q.email", "people partners"],
  ["SELECT p.id FROM people p JOIN partners q USING (email)", "people partners"],
  ["SELECT id FROM people ORDER BY email", "people"],
  ["SELECT count(*) FROM people GROUP BY email", "people"],
  ["SELECT count(email), count(DISTINCT email) FROM people", "people"],
  ["SELECT DISTINCT email FROM people", "people"],
  ["SELECT row_number() OVER (PARTITION BY email ORDER BY id) FROM people", "people"],
])("%s: is compared whole", (sql, expected) => expect(probesOf(sql)).toBe(expected));

test.each([
  "SELECT id FROM people WHERE email LIKE 'a%'",
  "SELECT id FROM people WHERE email ~ '^a'",
  "SELECT id FROM people WHERE email > 'm'",
  "SELECT id FROM people WHERE email BETWEEN 'a' AND 'b'",
  "SELECT id FROM people WHERE left(email, 1) = 'a'",
  "SELECT id FROM people WHERE email || '' = 'a'",
  "SELECT id FROM people WHERE email IN ('a', 'b')",
  "SELECT id FROM people WHERE email = ANY ($1)",
  "SELECT id FROM people WHERE email = 'a' OR email = 'b' OR email = 'c' OR email = 'd'",
  "SELECT 'a', id FROM people WHERE email = 'a' UNION ALL SELECT 'b', id FROM people WHERE email = 'b' " +
    "UNION ALL SELECT 'c', id FROM people WHERE email = 'c' UNION ALL SELECT 'd', id FROM people WHERE email = 'd'",
  "SELECT g, id FROM people JOIN (VALUES ('a'), ('b')) v (g) ON email = g",
  "SELECT g.email FROM people p JOIN guesses g ON p.email = g.email",
  "SELECT g.email FROM people p NATURAL JOIN guesses g",
  "SELECT x FROM unnest(ARRAY['a', 'b']) x WHERE x IN (SELECT email FROM people)",
  "SELECT x FROM unnest(ARRAY['a', 'b']) x WHERE EXISTS (SELECT 1 FROM people WHERE email = x)",
  "VALUES ('a'), ('b') INTERSECT SELECT email FROM people",
  "VALUES ('a'), ('b') EXCEPT SELECT email FROM people",
  "SELECT id, n FROM people, generate_series(1, 9) n, unnest($1::text[]) c WHERE substr(email, n, 1) = c",
  "SELECT id, (SELECT 'yes' WHERE email LIKE 'a%') FROM people",
  "SELECT id, x.c FROM people LEFT JOIN LATERAL (SELECT 'a' AS c WHERE email LIKE 'a%') x ON true",
  "SELECT id, count(*) FILTER (WHERE email LIKE 'a%') FROM people GROUP BY id",
  "SELECT count(CASE WHEN email LIKE 'a%' THEN 1 END) FROM people",
  "SELECT id FROM people GROUP BY id, email HAVING max(email) LIKE 'a%'",
  "SELECT id FROM people ORDER BY email LIKE 'a%'",
  "SELECT id, rank() OVER (ORDER BY email = 'a') FROM people",
  "SELECT id FROM guesses LIMIT (SELECT ascii(email) FROM people LIMIT 1)",
  "UPDATE guesses SET id = 1 FROM people WHERE people.email LIKE guesses.email",
  "WITH both_of AS (SELECT email FROM people UNION ALL VALUES ('a'), ('b')) " +
    "SELECT 1 FROM both_of x JOIN both_of y ON x.email = y.email",
])("%s: is searched", (sql) => expect(probesOf(sql)).toBe("people!"));

test.each([
  "SELECT pg_advisory_lock(hashtext(email)) FROM people",
  "SELECT setval('s', length(email)) FROM people",
  "SELECT count(*) FROM people WHERE pg_try_advisory_lock(ascii(email))",
  "SELECT setseed(length(email)::float8 / 100) FROM people",
])("%s: is kept where it can be read again", (sql) => expect(probesOf(sql)).toBe("people!"));

test("locks on what the client gives, or on what is not classified, are no search", () => {
  expect(probesOf("SELECT pg_advisory_xact_lock(hashtext('job'))")).toBe("");
  expect(probesOf("SELECT setval('s', max(id)) FROM people")).toBe("");
});
