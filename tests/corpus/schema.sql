-- The corpus's own schema. Every hidden value is marked: letters of `ghjkqvwxz` that stand together nowhere else.
-- What masking leaves of two values must not be a part of a third: no address begins, and no number ends, with the letter before a card's last four.

CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO teams VALUES (1, 'core'), (2, 'field');

CREATE TABLE people (
  id int PRIMARY KEY,
  name text NOT NULL,
  team_id int REFERENCES teams,
  email text,
  phone varchar(20),
  card varchar(19),
  secret text,
  token text,
  salary int,
  born date,
  balance numeric(14, 2),
  ext uuid,
  ip inet,
  photo bytea,
  aliases text[],
  home point,
  profile jsonb,
  letter xml,
  notes text
);
INSERT INTO people VALUES
  (1, 'Ada', 1, 'xzwzkvgjzq@qvgzjx.example', 'gxhx-qvwz-qkxz', 'qwhz-qvjk-hxjq-vwhz', 'kzvjqhjqgxjz', 'hzkxkhgjvhvk',
   731907319, '1907-03-19', 73190731907.31, '7319c0de-7319-4aaa-8bbb-c0de73190731', '203.0.113.219', 'hjwhgwzgvxwk',
   '{hxzjxwjzkjkz,vxvkvkhvkxwx}', '(7319073.25,1907319.75)', '{"pin": "hwvzkwgjhgxg"}', '<l>xjhkwgwghkvg</l>',
   'Write to wghwkjgkzh@vjvqhj.example.com soon'),
  (2, 'Bob', 1, 'hwghqwjzqw@zhvzkh.example', 'kjxq-vzjk-wzjg', 'zqhx-hjqv-ghkq-xkjz', 'xjzvjvkqxqzh', 'zhvxqjvzkwgx',
   842618426, '1911-11-23', 84261842618.42, '8426feed-8426-4ccc-9ddd-feed84261842', '198.51.100.183', 'gkvgqhvxzvhg',
   '{jwgwvkqxjzkg}', '(8426184.25,2618426.75)', '{"pin": "xqghkqjqgjqk"}', '<l>vjwkhxwkgwhj</l>',
   'Nothing to tell'),
  (3, 'Cleo', 2, NULL, NULL, NULL, 'zvjgqkhwvxkh', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
ANALYZE people;

CREATE TABLE orders (id int PRIMARY KEY, person_id int, amount numeric(10, 2), status text, contact_email text);
INSERT INTO orders VALUES
  (10, 1, 12.50, 'open', 'vjgzvzjxzw@gkzvxz.example'), (11, 1, 7.00, 'paid', 'jwvqhgjqgh@zzxjgk.example'),
  (12, 2, 99.90, 'open', 'hkqkwvjqzh@ghgwgz.example');

-- nothing hidden
CREATE TABLE plain (id int PRIMARY KEY, label text, n int);
INSERT INTO plain VALUES (1, 'red', 10), (2, 'green', 20), (3, 'blue', 30);
CREATE TABLE scratch (id int, t text);

-- What cases and random commands copy hidden values into: a copy keeps its class for good, so nobody else is to use these.
CREATE TABLE yard (id int, t text);
CREATE TABLE dump (id int PRIMARY KEY, label text, n int);
INSERT INTO dump SELECT * FROM plain;
CREATE TABLE bin (id int, t text);
-- What nothing is ever copied into, for that is refused.
CREATE TABLE ledger (id int PRIMARY KEY, label text, n int);
INSERT INTO ledger SELECT * FROM plain;
CREATE TABLE pile (id int, t text);
CREATE TABLE folk_teams (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE folk (id int PRIMARY KEY, name text NOT NULL, team_id int REFERENCES folk_teams, email text, secret text);
INSERT INTO folk SELECT id, name, NULL, email, secret FROM people;
CREATE TABLE errands (id int PRIMARY KEY, person_id int, amount numeric(10, 2), status text, contact_email text);
INSERT INTO errands SELECT * FROM orders;
CREATE TABLE parts (id int, title text, body_secret text) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);

CREATE TABLE docs (id int, title text, body_secret text) PARTITION BY RANGE (id);
CREATE TABLE docs_low PARTITION OF docs FOR VALUES FROM (0) TO (100);
CREATE TABLE docs_high (body_secret text, id int, title text);
ALTER TABLE docs ATTACH PARTITION docs_high FOR VALUES FROM (100) TO (200);
INSERT INTO docs VALUES (1, 'low', 'xqhjkzkzgxkq'), (101, 'high', 'zwzvxjqjvkqg');

CREATE TABLE records (id int, secret text);
CREATE TABLE records_more (extra text) INHERITS (records);
INSERT INTO records VALUES (1, 'qkkghkhkxwvx');
INSERT INTO records_more VALUES (2, 'jxxhzkwxzwzq', 'more');

CREATE TABLE gen (
  id int,
  email text,
  lowered text GENERATED ALWAYS AS (lower(email)) STORED,
  turned text GENERATED ALWAYS AS (reverse(email)) VIRTUAL,
  twice int GENERATED ALWAYS AS (id * 2) STORED
);
INSERT INTO gen (id, email) VALUES (1, 'XHZJXQVQGH@JWGZVH.example');

CREATE TABLE "Odd Names" ("Id" int, "E-Mail" text, "a""b" text, "select" text);
INSERT INTO "Odd Names" VALUES (1, 'jhqxwhgxhw@kjghkj.example', 'kvwgwgjzjkhz', 'plain');
CREATE TABLE "почта" (id int, "адрес" text);
INSERT INTO "почта" VALUES (1, 'xjvzgkhxzhjz');

CREATE SCHEMA other;
CREATE TABLE items (id int, label text);
INSERT INTO items VALUES (1, 'public item');
CREATE TABLE other.items (id int, label text);
INSERT INTO other.items VALUES (1, 'qgvjqkvzqwkv');

-- views
CREATE VIEW people_v AS SELECT id, name, email AS contact FROM people;
CREATE VIEW people_vv AS SELECT contact AS c, id FROM people_v;
CREATE VIEW people_shout AS SELECT id, upper(email) AS shout FROM people;
CREATE VIEW people_mixed AS SELECT id, name || ' <' || email || '>' AS line FROM people;
CREATE VIEW team_sizes AS SELECT t.name, count(*) AS n FROM teams t JOIN people p ON p.team_id = t.id GROUP BY t.name;
CREATE VIEW everyone AS SELECT name FROM people UNION ALL SELECT secret FROM people;
CREATE VIEW barred WITH (security_barrier) AS SELECT id, secret AS s FROM people WHERE id < 3;
CREATE VIEW renamed (a, b) AS SELECT name, secret FROM people;
CREATE MATERIALIZED VIEW people_m AS SELECT id, email AS contact, salary AS pay FROM people;
CREATE MATERIALIZED VIEW people_n AS SELECT team_id, count(*) AS n FROM people GROUP BY team_id;
CREATE RECURSIVE VIEW chain (id, t) AS
  SELECT 1, (SELECT secret FROM people WHERE id = 1) UNION ALL SELECT id + 1, t FROM chain WHERE id < 2;

-- code that the gateway cannot look into
CREATE FUNCTION f_email(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM public.people WHERE id = $1';
CREATE FUNCTION f_people() RETURNS SETOF people LANGUAGE sql STABLE AS 'SELECT * FROM public.people';
CREATE FUNCTION f_definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT secret FROM public.people WHERE id = 1';
CREATE FUNCTION f_notice() RETURNS int LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'it is %', (SELECT secret FROM public.people WHERE id = 1); RETURN 1; END $$;
CREATE FUNCTION f_raise() RETURNS int LANGUAGE plpgsql AS $$
DECLARE v text := (SELECT secret FROM public.people WHERE id = 1);
BEGIN
  RAISE EXCEPTION USING MESSAGE = v, DETAIL = v, HINT = v, COLUMN = v, CONSTRAINT = v, DATATYPE = v, TABLE = v, SCHEMA = v;
END $$;
CREATE FUNCTION f_immutable(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RAISE WARNING 'it is %', (SELECT secret FROM public.people WHERE id = $1); RETURN $1; END $$;
CREATE FUNCTION f_write() RETURNS int LANGUAGE sql AS 'INSERT INTO public.scratch VALUES (1, ''written'') RETURNING id';
CREATE PROCEDURE p_notice() LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE 'it is %', (SELECT secret FROM public.people WHERE id = 1); END $$;
CREATE PROCEDURE p_out(INOUT t text) LANGUAGE plpgsql AS $$
BEGIN t := (SELECT secret FROM public.people WHERE id = 1); END $$;
CREATE FUNCTION f_op(int, int) RETURNS text LANGUAGE sql AS 'SELECT secret FROM public.people WHERE id = $1';
CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = f_op);
CREATE TYPE cloak AS (v text);
CREATE FUNCTION f_cloak(int) RETURNS cloak LANGUAGE sql AS 'SELECT ROW(secret)::public.cloak FROM public.people WHERE id = $1';
CREATE CAST (int AS cloak) WITH FUNCTION f_cloak(int);
CREATE FUNCTION f_step(text, int) RETURNS text LANGUAGE sql AS 'SELECT secret FROM public.people WHERE id = $2';
CREATE AGGREGATE a_email(int) (SFUNC = f_step, STYPE = text);
-- `lower(varchar)` is nearer than pg_catalog's `lower(text)`
CREATE SCHEMA hijack;
CREATE FUNCTION hijack.lower(varchar) RETURNS text LANGUAGE sql AS 'SELECT secret FROM public.people WHERE id = 1';
CREATE FUNCTION hijack.format(varchar, int) RETURNS text LANGUAGE sql AS 'SELECT secret FROM public.people WHERE id = 1';

CREATE TABLE triggered (id int, t text, secret text);
INSERT INTO triggered VALUES (1, 'plain', 'gqjqxqwjzqvg');
CREATE FUNCTION f_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.t := (SELECT secret FROM public.people WHERE id = 1); RETURN NEW; END $$;
CREATE TRIGGER copies BEFORE INSERT OR UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION f_trigger();

CREATE TABLE ruled (id int, t text);
INSERT INTO ruled VALUES (1, 'plain');
CREATE RULE tells AS ON UPDATE TO ruled DO INSTEAD SELECT id, secret AS t FROM people;
CREATE RULE removes AS ON INSERT TO ruled DO INSTEAD DELETE FROM scratch;

CREATE VIEW people_edit AS SELECT id, name FROM people;
CREATE FUNCTION f_instead() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.name := (SELECT secret FROM public.people WHERE id = 1); RETURN NEW; END $$;
CREATE TRIGGER instead INSTEAD OF INSERT OR UPDATE ON people_edit FOR EACH ROW EXECUTE FUNCTION f_instead();

CREATE SEQUENCE numbers;
CREATE DOMAIN short AS text CHECK (length(VALUE) < 8);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE checked (id int PRIMARY KEY, t text UNIQUE CHECK (length(t) < 9), d short, m mood, v varchar(3));
INSERT INTO checked VALUES (1, 'one', 'one', 'good', 'one');
CREATE TABLE checks (id int PRIMARY KEY, t text UNIQUE CHECK (length(t) < 9), d short, m mood, v varchar(3));
INSERT INTO checks VALUES (1, 'kzvjqhjq', 'one', 'good', 'one');
