import { ColumnFlow, NamedStatement, NamedStatement_Kind } from "@sallyport/proto/verdict";
import { beforeAll, expect, test } from "vitest";
import { described, lineage, probed, shown, written } from "../../testing/lineage-world.ts";
import { loadParser } from "../sql/parser.ts";
import type { LineageInput } from "./lineage.ts";

beforeAll(loadParser);

const columnsOf = (sql: string, more: Partial<LineageInput> = {}): string =>
  lineage(sql, more).statements.map(shown).join(" / ");

test.each([
  // columns
  ["SELECT email, p.name AS who, 1, now() FROM people p", "email = people.email; who = people.name; ?column? =; now ="],
  [
    "SELECT email || phone, lower(email), email LIKE 'a%' FROM people",
    "?column? ~ people.email, people.phone; lower ~ people.email; ?column? ~ people.email",
  ],
  [
    "SELECT email::text, email::varchar(3), id::text FROM people",
    "email = people.email; email ~ people.email; id ~ people.id",
  ],
  [
    "SELECT coalesce(email, phone, ''), nullif(email, ''), greatest(id, 3) FROM people",
    "coalesce = people.email, people.phone; nullif = people.email; greatest = people.id",
  ],
  [
    "SELECT CASE WHEN email LIKE 'a%' THEN 'a' END, CASE id WHEN 1 THEN name END FROM people",
    "case ~ people.email; case ~ people.id, people.name",
  ],
  ["SELECT ctid, tableoid FROM people", "ctid = people.ctid; tableoid = people.tableoid"],
  ['SELECT "E-Mail" FROM "Odd ""Table"""', 'E-Mail = Odd "Table".E-Mail'],
  [
    "SELECT tags[1], ARRAY[email], ROW(email, 1) FROM people",
    "tags ~ people.tags; array ~ people.email; row ~ people.email",
  ],
  ["SELECT public.visits.note FROM visits", "note = visits.note"],
  [
    "SELECT coalesce(id, 1.5), coalesce(id, 0), greatest(cost, id), coalesce(cost, now()), lag(id, 1, 2) OVER () FROM visits",
    "coalesce ~ visits.id; coalesce = visits.id; greatest ~ visits.id, visits.cost; coalesce ~ visits.cost; lag ~ visits.id",
  ],
  ["SELECT id FROM visits UNION ALL SELECT cost FROM visits", "id ~ visits.id, visits.cost"],
  ["SELECT name FROM people EXCEPT SELECT 'a'", "name = people.name"],
  // rows
  ["SELECT p FROM visits p", "p ~ visits.id, visits.person_id, visits.note, visits.cost"],
  [
    "SELECT to_json(p), (p).email, p.* FROM archive.people p",
    "to_json ~ archive.people.id, archive.people.email; email = archive.people.email; id = archive.people.id; email = archive.people.email",
  ],
  ["SELECT * FROM archive.people a (x)", "x = archive.people.id; email = archive.people.email"],
  // aggregates and windows
  [
    "SELECT count(email), max(email), string_agg(email, ',') FROM people",
    "count =; max = people.email; string_agg ~ people.email",
  ],
  [
    "SELECT rank() OVER (ORDER BY email), lag(email, 1, name) OVER w FROM people WINDOW w AS (PARTITION BY phone)",
    "rank =; lag = people.name, people.email",
  ],
  [
    "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY email), mode() WITHIN GROUP (ORDER BY phone) FROM people",
    "percentile_disc ~ people.email; mode = people.phone",
  ],
  // sub-queries
  [
    "SELECT (SELECT max(email) FROM people), EXISTS (SELECT email FROM people), ARRAY(SELECT email FROM people)",
    "max = people.email; exists =; array ~ people.email",
  ],
  ["SELECT x.e FROM (SELECT email, name FROM people) x (e)", "e = people.email"],
  [
    "SELECT v.note, x.email FROM visits v, LATERAL (SELECT email FROM people WHERE id = v.person_id) x",
    "note = visits.note; email = people.email",
  ],
  ["SELECT id IN (SELECT person_id FROM visits) FROM people", "?column? ~ people.id, visits.person_id"],
  // joins
  [
    "SELECT * FROM archive.people JOIN visits USING (id)",
    "id = archive.people.id; email = archive.people.email; person_id = visits.person_id; note = visits.note; cost = visits.cost",
  ],
  ["SELECT id FROM people FULL JOIN visits USING (id)", "id = people.id, visits.id"],
  [
    "SELECT * FROM archive.people a NATURAL RIGHT JOIN archive.people b",
    "id = archive.people.id; email = archive.people.email",
  ],
  ["SELECT j.note FROM (people p JOIN visits v ON p.id = v.person_id) AS j", "note = visits.note"],
  // set operations
  ["SELECT email FROM people UNION SELECT note FROM visits", "email = people.email, visits.note"],
  ["SELECT email FROM people EXCEPT SELECT note FROM visits", "email = people.email"],
  ["VALUES (1, 'a'), (2, (SELECT max(email) FROM people))", "column1 =; column2 = people.email"],
  // WITH
  ["WITH a AS (SELECT email FROM people), b (x) AS (SELECT * FROM a) SELECT x FROM b", "x = people.email"],
  [
    "WITH RECURSIVE t (a, b) AS (SELECT id, name FROM people UNION ALL SELECT id, b || phone FROM people JOIN t ON id = a) SELECT b FROM t",
    "b ~ people.name, people.phone",
  ],
  ["WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT email FROM people) SELECT * FROM a", "email = people.email"],
  ["WITH gone AS (DELETE FROM people RETURNING email) SELECT * FROM gone", "email = people.email"],
  ["WITH people AS (SELECT note FROM visits) SELECT * FROM people", "note = visits.note"],
  // functions in FROM
  ["SELECT * FROM unnest(ARRAY[1, 2]) WITH ORDINALITY AS u (x, n)", "x =; n ="],
  ["SELECT t FROM people, unnest(tags) t", "t ~ people.tags"],
  [
    "SELECT key, value FROM people, json_each_text(to_json(people))",
    "key ~ people.id, people.name, people.email, people.phone, people.tags; value ~ people.id, people.name, people.email, people.phone, people.tags",
  ],
  ["SELECT * FROM generate_series(1, 3) g", "g ="],
  [
    "SELECT x.* FROM people, ROWS FROM (string_to_table(email, '@'), generate_series(1, 2)) x (a, b)",
    "a ~ people.email; b =",
  ],
  // generated columns, heirs
  ["SELECT shown FROM made", "shown ~ made.email, made.shown"],
  ["SELECT note FROM events", "note = events.note, events_1.note"],
  ["SELECT note FROM ONLY events", "note = events.note"],
  ["SELECT note FROM events_1", "note = events_1.note"],
  // views
  ["SELECT * FROM contacts", "id = people.id; who = people.name; reach = people.email"],
  ["SELECT * FROM lines", "line ~ people.name, people.email"],
  ["SELECT * FROM people_copies", "email = people.email"],
  ["SELECT upper FROM uppers", "upper ~ people.email"],
  // catalogs
  ["SELECT relname, c.oid FROM pg_class c", "relname =; oid ="],
  ["SELECT * FROM pg_namespace", "oid =; nspname =; nspowner =; nspacl ="],
  ["SELECT c.email FROM pg_class k, people c WHERE k.oid = c.id", "email = people.email"],
  // syntax that the server turns into functions
  [
    "SELECT EXTRACT(year FROM now()), SUBSTRING(email FROM 1 FOR 2), email AT TIME ZONE 'UTC' FROM people",
    "extract =; substring ~ people.email; timezone ~ people.email",
  ],
  [
    "SELECT JSON_OBJECT('a': email), JSON_ARRAY(SELECT phone FROM people) FROM people",
    "json_object ~ people.email; json_array ~ people.phone",
  ],
  ["SELECT xmlelement(name a, email) FROM people", "xmlelement ~ people.email"],
])("%s", (sql, expected) => expect(columnsOf(sql)).toBe(expected));

test.each([
  // RETURNING shows what was assigned
  [
    "UPDATE people SET name = email RETURNING name, old.name, new.name, id",
    "name = people.name, people.email; name = people.name; name = people.name, people.email; id = people.id",
  ],
  [
    "UPDATE people SET (name, phone) = (SELECT email, note FROM visits) RETURNING name, phone",
    "name = people.name, people.email; phone = people.phone, visits.note",
  ],
  [
    "UPDATE visits v SET note = p.email FROM people p WHERE p.id = v.person_id RETURNING v.note, p.phone",
    "note = people.email, visits.note; phone = people.phone",
  ],
  ["UPDATE made SET email = 'x' RETURNING shown", "shown ~ made.email, made.shown"],
  [
    "INSERT INTO visits (note) SELECT email FROM people RETURNING note, id",
    "note = people.email, visits.note; id = visits.id",
  ],
  [
    "INSERT INTO visits VALUES (1, 2, 'a') RETURNING *",
    "id = visits.id; person_id = visits.person_id; note = visits.note; cost = visits.cost",
  ],
  [
    "INSERT INTO people (id, name) SELECT id, phone FROM people ON CONFLICT (id) DO UPDATE SET email = excluded.name RETURNING email",
    "email = people.email, people.phone",
  ],
  [
    "INSERT INTO visits (note) VALUES ((SELECT max(email) FROM people)) RETURNING note",
    "note = people.email, visits.note",
  ],
  ["INSERT INTO visits (cost) SELECT id FROM people RETURNING cost", "cost ~ people.id, visits.cost"],
  [
    "MERGE INTO visits v USING archive.people p ON v.id = p.id WHEN MATCHED THEN UPDATE SET note = p.email RETURNING merge_action(), *",
    "merge_action =; id = archive.people.id; email = archive.people.email; id = visits.id; person_id = visits.person_id; note = visits.note, archive.people.email; cost = visits.cost",
  ],
  // What triggers, rules and views make of it is not known.
  ["UPDATE audited SET who = 'x' RETURNING who", "who ? audited.who"],
  ["DELETE FROM ruled RETURNING who", "who ? ruled.who"],
  ["UPDATE contacts SET who = 'x' RETURNING who", "who ? people.name"],
  ["DELETE FROM people", "silent"],
])("%s", (sql, expected) => expect(columnsOf(sql)).toContain(expected));

test.each([
  [
    "SELECT secret(email), upper(name), pg_catalog.upper(name) FROM people",
    "secret ? people.email; upper ? people.name; upper ~ people.name",
  ],
  ["SELECT id <-> 1, id OPERATOR(pg_catalog.+) 1 FROM people", "?column? ? people.id; ?column? ~ people.id"],
  ["SELECT email::mood, 'fine'::mood, $1::mood FROM people", "email ? people.email; mood =; mood ="],
  ["SELECT x FROM nowhere", "x ?"],
  ["SELECT * FROM nowhere", "unknown"],
  ["SELECT archive.people.email FROM people", "email ?"],
  [
    "SELECT (WITH people AS (SELECT 1 AS email) SELECT public.people.email FROM people) FROM people",
    "email = people.email",
  ],
  ["SELECT * FROM secret(1)", "unknown"],
  ["SELECT histogram_bounds FROM pg_stats", "histogram_bounds ?"],
  ["SELECT query_to_xml('SELECT 1', true, true, '')", "query_to_xml ?"],
  ["SELECT * FROM odd", "x ? people.id"],
  ["SELECT * FROM endless", "x ?"],
  ["SELECT * FROM broken", "x ?"],
  ["SELECT * FROM other.public.people", "unknown"],
  ["CALL something()", "unknown"],
  ["SELECT current_setting('my.value'), current_setting('server_version_num')", "current_setting ?; current_setting ="],
  ["SELECT p.upper FROM people p", "upper ? people.id, people.name, people.email, people.phone, people.tags"],
])("not known: %s", (sql, expected) => expect(columnsOf(sql)).toBe(expected));

test.each([
  ["SELECT email, p.name, lower(email), p, ctid FROM people p", "people.email; people.name; -; people.*; people.-1"],
  ["SELECT reach FROM contacts", "contacts.reach"],
  ["SELECT e FROM (SELECT email AS e FROM people) x", "people.email"],
  ["WITH t AS (SELECT email FROM people) SELECT email FROM t GROUP BY email", "people.email"],
  ["SELECT max(email), (SELECT max(name) FROM people), email::text FROM people GROUP BY 3", "-; -; people.email"],
  ["SELECT email FROM people UNION ALL SELECT email FROM people", "-"],
  ["SELECT id FROM people JOIN visits USING (id)", "people.id"],
  ["SELECT id FROM people RIGHT JOIN visits USING (id)", "visits.id"],
  ["SELECT id FROM people FULL JOIN visits USING (id)", "-"],
  ["UPDATE people SET name = email RETURNING name", "people.name"],
  ["SELECT relname FROM pg_class", "unobserved"],
  ["SELECT amhandler::regproc FROM pg_am", "unobserved"],
  ["SELECT note FROM events", "events.note"],
])("the server describes %s", (sql, expected) =>
  expect(lineage(sql).statements.map(described).join(" / ")).toBe(expected),
);

test.each([
  ["SELECT id FROM people WHERE email LIKE 'a%' ORDER BY phone", "people.email, people.phone"],
  ["SELECT 1 FROM people p JOIN archive.people a ON p.email = a.email", "people.email, archive.people.email"],
  [
    "SELECT count(*) FILTER (WHERE email = 'x') FROM people GROUP BY name HAVING max(phone) > 'a'",
    "people.name, people.email, people.phone",
  ],
  ["SELECT EXISTS (SELECT * FROM people WHERE email = 'x')", "people.email"],
  ["SELECT id FROM contacts WHERE reach = 'x'", "people.email"],
  ["SELECT row_number() OVER (ORDER BY email) FROM people", "people.email"],
  ["SELECT CASE WHEN email = 'a' THEN 1 END FROM people", "people.email"],
  ["DELETE FROM people WHERE email = 'x'", "people.email"],
  ["SELECT email FROM people", ""],
  ["EXPLAIN ANALYZE SELECT id FROM people WHERE email = 'x'", "people.email"],
])("probed: %s", (sql, expected) => expect(probed(lineage(sql))).toBe(expected));

test.each([
  ["CREATE TABLE copy AS SELECT id, lower(email) FROM people", "copy.id = people.id; copy.lower ~ people.email"],
  ["CREATE TABLE copy (a, b) AS SELECT email, 1 FROM people", "copy.a = people.email; copy.b ="],
  ["SELECT email INTO TEMP copy FROM people", "temporary copy.email = people.email"],
  ["CREATE VIEW v (x) AS SELECT email FROM people", "v.x = people.email"],
  ["CREATE MATERIALIZED VIEW v AS SELECT email FROM people", "v.email = people.email"],
  ["INSERT INTO visits (note, id) SELECT email, 1 FROM people", "visits.note = people.email"],
  ["INSERT INTO visits (note) VALUES ('a')", ""],
  ["UPDATE people SET name = email, phone = phone", "people.name = people.email"],
  ["INSERT INTO contacts (reach) SELECT note FROM visits", "people.email = visits.note; contacts.reach = visits.note"],
  ["INSERT INTO events (note) SELECT email FROM people", "events.note = people.email; events_1.note = people.email"],
  [
    "MERGE INTO visits v USING people p ON v.id = p.id WHEN NOT MATCHED THEN INSERT (note) VALUES (p.email)",
    "visits.note = people.email",
  ],
  [
    "WITH w AS (INSERT INTO visits (note) SELECT email FROM people RETURNING id) SELECT * FROM w",
    "visits.note = people.email",
  ],
  ["CREATE TABLE copy AS SELECT * FROM nowhere", "copy. ?"],
  ["EXPLAIN INSERT INTO visits (note) SELECT email FROM people", ""],
  ["EXPLAIN (ANALYZE) INSERT INTO visits (note) SELECT email FROM people", "visits.note = people.email"],
  ["CREATE TEMP TABLE t (a text, b integer)", "temporary t.a =; temporary t.b ="],
  ["CREATE TEMP TABLE t (LIKE people)", "temporary t. ="],
])("written: %s", (sql, expected) => expect(written(lineage(sql))).toBe(expected));

test.each([
  ["COPY archive.people TO STDOUT", "id = archive.people.id; email = archive.people.email"],
  ["COPY people (email, id) TO STDOUT", "email = people.email; id = people.id"],
  ["COPY made TO STDOUT", "id = made.id; email = made.email"],
  ["COPY (SELECT lower(email) FROM people) TO STDOUT", "lower ~ people.email"],
  ["COPY people FROM STDIN", "silent"],
  ["EXPLAIN (VERBOSE, ANALYZE) SELECT email FROM people WHERE name = 'x'", "QUERY PLAN ="],
  ["EXPLAIN SELECT secret(1)", "QUERY PLAN ?"],
  ["EXPLAIN SELECT * FROM odd", "QUERY PLAN ?"],
  ["SHOW server_version", "server_version ="],
  ["SHOW application_name", "application_name ?"],
  ["BEGIN; SELECT email FROM people; COMMIT", "silent / email = people.email / silent"],
  ["SET search_path = a", "silent"],
  ["DECLARE c CURSOR FOR SELECT email FROM people", "silent"],
  ["TABLE archive.people", "id = archive.people.id; email = archive.people.email"],
])("%s answers", (sql, expected) => expect(columnsOf(sql)).toBe(expected));

const named = (kind: "PREPARED" | "CURSOR", name: string, text: string): NamedStatement =>
  NamedStatement.fromPartial({ kind: NamedStatement_Kind[`KIND_${kind}`], name, text });

test("EXECUTE and FETCH answer what the statement of that name does", () => {
  const more = {
    named: [
      named("PREPARED", "p", "SELECT email FROM people WHERE name = $1"),
      named("CURSOR", "c", "SELECT phone FROM people"),
      named("PREPARED", "again", "EXECUTE again"),
      named("PREPARED", "twice", "SELECT email FROM people"),
      named("PREPARED", "twice", "SELECT phone FROM people"),
    ],
  };
  expect(columnsOf("EXECUTE p('x')", more)).toBe("email = people.email");
  expect(probed(lineage("EXECUTE p('x')", more))).toBe("people.name");
  expect(columnsOf("FETCH 1 FROM c", more)).toBe("phone = people.phone");
  expect(columnsOf("MOVE c", more)).toBe("silent");
  expect(columnsOf("EXECUTE c", more)).toBe("unknown");
  expect(columnsOf("EXECUTE again", more)).toBe("unknown");
  expect(columnsOf("EXECUTE twice", more)).toBe("unknown");
  expect(written(lineage("CREATE TABLE copy AS EXECUTE p('x')", more))).toBe("copy.email = people.email");
  const unknownYet = lineage("EXECUTE p('x')", { ...more, syntax: () => undefined });
  expect(unknownYet.missing).toEqual(["SELECT email FROM people WHERE name = $1"]);
});

test("temporary relations of the session are what its flows tell", () => {
  const temporary = [
    ...lineage("CREATE TEMP TABLE t AS SELECT id, email AS e FROM people").flows,
    ...lineage("CREATE TEMP TABLE plain (a text)").flows,
    ColumnFlow.fromPartial({ relation: "unknown", temporary: true }),
  ];
  const more = { temporary };
  expect(columnsOf("SELECT * FROM t", more)).toBe("id = people.id; e = people.email");
  expect(columnsOf("SELECT upper(e), lower(e) FROM pg_temp.t", more)).toBe(
    "upper ? people.email; lower ~ people.email",
  );
  expect(lineage("SELECT e FROM t", more).statements.map(described)).toEqual(["unobserved"]);
  expect(columnsOf("SELECT a FROM plain", more)).toBe("a =");
  expect(columnsOf("SELECT lower(x), x FROM unknown", more)).toBe(
    "lower ~ temporary unknown.x; x ~ temporary unknown.x",
  );
  expect(columnsOf("SELECT x FROM pg_temp.other", more)).toBe("x ~ temporary other.x");
  // A temporary relation goes before others of its name, as long as it is there.
  const shadowing = { temporary: lineage("CREATE TEMP TABLE visits AS SELECT id, email AS note FROM people").flows };
  expect(columnsOf("SELECT note FROM visits", shadowing)).toBe("note ~ people.email, visits.note");
  expect(columnsOf("SELECT note FROM public.visits", shadowing)).toBe("note = visits.note");
  // What is written into it is in it from then on; what is altered is not known any more.
  const grown = { temporary: [...temporary, ...lineage("INSERT INTO plain SELECT phone FROM people", more).flows] };
  expect(columnsOf("SELECT a FROM plain", grown)).toBe("a = people.phone");
  const altered = { temporary: [...temporary, ...lineage("ALTER TABLE t RENAME COLUMN e TO id2", more).flows] };
  expect(columnsOf("SELECT id2 FROM t", altered)).toBe("id2 ~ temporary t.id2");
  expect(written(lineage("CREATE VIEW v AS SELECT e FROM t", more))).toBe("temporary v.e = people.email");
});

test("a name may mean every relation that the search path lets it", () => {
  expect(columnsOf("SELECT email FROM people", { searchPath: ["archive", "public"] })).toBe(
    "email = people.email, archive.people.email",
  );
  expect(lineage("SELECT email FROM people", { searchPath: ["archive", "public"] }).statements.map(described)).toEqual([
    "archive.people.email|people.email",
  ]);
  expect(columnsOf("SELECT email FROM people", { searchPath: undefined })).toBe(
    "email = people.email, archive.people.email",
  );
  expect(columnsOf("SELECT email FROM people", { searchPath: ["archive"] })).toBe("email = archive.people.email");
  expect(columnsOf("SELECT note FROM visits", { searchPath: ["archive"] })).toBe("note ?");
});

test("a condition on what nothing is known of may probe anything", () => {
  const temporary = lineage("CREATE TEMP TABLE t (LIKE people)").flows;
  expect(lineage("SELECT 1 FROM t WHERE email = 'x'", { temporary }).incomplete).toBe(true);
  expect(lineage("SELECT 1 FROM t", { temporary }).incomplete).toBe(false);
  expect(lineage("SELECT count(*) FROM nowhere WHERE a = 1").incomplete).toBe(true);
  expect(lineage("SELECT count(*) FROM people WHERE added_today = 1").incomplete).toBe(true);
  expect(lineage("SELECT count(*) FROM pg_stat_activity WHERE pid = 1").incomplete).toBe(false);
});

test("after a change of the schema names may mean something else", () => {
  expect(columnsOf("SELECT email, lower(email) FROM people", { schemaTouched: true })).toBe(
    "email ? people.email; lower ? people.email",
  );
  expect(columnsOf("SELECT 1; SELECT email FROM people", { definesFrom: 0 })).toBe("?column? = / email ? people.email");
  expect(columnsOf("SELECT email FROM people", { index: undefined })).toBe("email ?");
});

test("what is too deep or too large is unknown, and everything else in the text is not", () => {
  const deep = (open: string, close: string, inside: string, times: number): string =>
    `SELECT ${open.repeat(times)}${inside}${close.repeat(times)} FROM people`;
  const nested = lineage(`${deep("coalesce(", ")", "email", 700)}; SELECT email FROM people`);
  expect(nested.statements.map(shown)).toEqual(["coalesce ?", "email = people.email"]);
  expect(nested.incomplete).toBe(true);
  expect(columnsOf(deep("((((", "))))", "email", 100))).toBe("email = people.email");
  expect(columnsOf(`SELECT ${Array(1_500).fill("email").join(" || ")} FROM people`)).toBe("?column? ~ people.email");
  expect(columnsOf(Array(600).fill("SELECT email FROM people").join(" UNION ALL "))).toBe("email = people.email");
  // Each level walks the one below twice.
  const views = Array.from(
    { length: 40 },
    (_, i) => `t${i} AS (SELECT a.email FROM ${i === 0 ? "people" : `t${i - 1}`} a)`,
  );
  expect(columnsOf(`WITH ${views.join(", ")} SELECT * FROM t39`)).toBe("email = people.email");
  expect(columnsOf(`WITH RECURSIVE ${views.toReversed().join(", ")} SELECT * FROM t39`)).toBe("email = people.email");
  const starred = (levels: number): string =>
    levels === 0 ? "SELECT email FROM people" : `SELECT * FROM (SELECT (${starred(levels - 1)})) x`;
  expect(columnsOf(`SELECT (${starred(40)})`)).toBe("email = people.email");
});
