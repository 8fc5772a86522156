-- What the oracle's statements are about. No rows: nothing is ever executed, the server only analyses.
-- Numbers of columns are not consecutive everywhere, names are reused between schemas, and some need quotes.

CREATE SCHEMA archive;
CREATE SCHEMA hr;
CREATE SCHEMA app;
CREATE SCHEMA "Weird Schema";

CREATE TYPE public.order_status AS ENUM ('open', 'paid', 'shipped');
CREATE TYPE hr.address AS (street text, city text, zip text);
CREATE DOMAIN hr.contact AS text CHECK (value <> '');

CREATE TABLE public.customers (
  id int PRIMARY KEY, dropped_early text, name text, email text, phone text, card_number text, notes text,
  tags text[], profile jsonb, created_at timestamptz
);
ALTER TABLE public.customers DROP COLUMN dropped_early;
CREATE TABLE public.orders (
  id int PRIMARY KEY, customer_id int REFERENCES public.customers, amount numeric, state text, created_at timestamptz
);
ALTER TABLE public.orders RENAME COLUMN state TO status;
CREATE TABLE public.items (id int PRIMARY KEY, order_id int, sku text, qty int, price numeric, remark text);
CREATE TABLE public.typed (id int, kind public.order_status, home hr.address, reach hr.contact, homes hr.address[]);
CREATE TABLE public.docs (id int, body jsonb, plain json, page xml, bits bit(8), raw bytea, span int4range, at date);
CREATE TABLE public.totals (
  id int, net numeric, tax numeric,
  gross numeric GENERATED ALWAYS AS (net + tax) STORED,
  doubled numeric GENERATED ALWAYS AS (net * 2) VIRTUAL,
  note text DEFAULT 'none'
);
CREATE TABLE archive.customers (id int, email text, left_at date);
CREATE TABLE archive.orders (id int, amount numeric, iban text);
CREATE TABLE hr.departments (id int PRIMARY KEY, name text, budget numeric);
CREATE TABLE hr.people (
  id int PRIMARY KEY, name text, salary numeric, ssn text, manager_id int, dept_id int, home hr.address
);
CREATE TABLE hr.audited (id int, who text, secret text);
CREATE TABLE hr.ruled (id int, who text, secret text);
CREATE TABLE "Weird Schema"."Odd Table" ("Id" int, "E-Mail" text, "select" text, "weird.name" text, "ünï" text, " " text);

-- Named like the server's own.
CREATE TABLE app.pg_class (relname text, relkind text, secret text);
CREATE TABLE app.pg_user (usename text, secret text);

-- Partitions and heirs whose columns stand in another order.
CREATE TABLE app.measurements (id int, at date, value numeric, secret text) PARTITION BY RANGE (id);
CREATE TABLE app.measurements_1 PARTITION OF app.measurements FOR VALUES FROM (0) TO (100);
CREATE TABLE app.measurements_2 (secret text, gone int, value numeric, at date, id int);
ALTER TABLE app.measurements_2 DROP COLUMN gone;
ALTER TABLE app.measurements ATTACH PARTITION app.measurements_2 FOR VALUES FROM (100) TO (200);
CREATE TABLE app.base (id int, label text, secret text);
CREATE TABLE app.heir (extra text) INHERITS (app.base);
CREATE TABLE app.other_base (own text, label text);
CREATE TABLE app.heir_of_two (more text) INHERITS (app.base, app.other_base);

-- Functions, operators and casts of users; some share a name with the server's own.
CREATE FUNCTION public.order_total(integer) RETURNS numeric LANGUAGE sql STABLE
  AS 'SELECT sum(amount) FROM public.orders WHERE customer_id = $1';
CREATE FUNCTION public.customers_of(text) RETURNS SETOF public.customers LANGUAGE sql STABLE
  AS 'SELECT * FROM public.customers WHERE name = $1';
CREATE FUNCTION public.pairs(int) RETURNS TABLE (a int, b text) LANGUAGE sql STABLE
  AS 'SELECT id, email FROM public.customers WHERE id = $1';
CREATE FUNCTION public.contact(public.customers) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.email';
CREATE FUNCTION public.initcap(varchar) RETURNS text LANGUAGE sql STABLE AS 'SELECT max(email) FROM public.customers';
CREATE FUNCTION app.distance(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT abs($1 - $2)';
CREATE OPERATOR app.<-> (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = app.distance);
CREATE AGGREGATE app.joined(text) (SFUNC = textcat, STYPE = text, INITCOND = '');
CREATE FUNCTION hr.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.who := new.secret; RETURN new; END';
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON hr.audited FOR EACH ROW EXECUTE FUNCTION hr.stamp();
CREATE RULE redirect AS ON UPDATE TO hr.ruled DO INSTEAD
  UPDATE hr.audited SET who = new.who WHERE id = old.id RETURNING audited.id, audited.who, audited.secret;

-- Views, views of views.
CREATE VIEW public.customer_contacts AS SELECT id, name AS who, email AS reach FROM public.customers;
CREATE VIEW public.contact_lines (line, id) AS SELECT who || ' <' || reach || '>', id FROM public.customer_contacts;
CREATE VIEW public.masked_contacts AS
  SELECT id, CASE WHEN name LIKE 'a%' THEN left(phone, 3) ELSE NULL END AS phone_hint FROM public.customers;
CREATE VIEW public.order_totals AS
  SELECT c.id, c.name, count(o.id) AS order_count, sum(o.amount) AS total, max(c.email) AS some_email
  FROM public.customers c LEFT JOIN public.orders o ON o.customer_id = c.id GROUP BY c.id, c.name;
CREATE VIEW public.everybody AS
  SELECT id, email, 'now'::text AS at FROM public.customers
  UNION ALL SELECT id, email, left_at::text FROM archive.customers;
CREATE VIEW public.joined AS SELECT * FROM public.customers JOIN archive.orders USING (id);
CREATE VIEW public.natural_joined AS SELECT * FROM public.items NATURAL JOIN archive.customers;
CREATE VIEW hr.chain AS
  WITH RECURSIVE up(id, boss, path) AS (
    SELECT id, manager_id, name FROM hr.people WHERE manager_id IS NULL
    UNION ALL SELECT p.id, p.manager_id, up.path || '/' || p.name FROM hr.people p JOIN up ON p.manager_id = up.id)
  SELECT * FROM up;
CREATE VIEW hr.ranked AS
  SELECT id, rank() OVER (PARTITION BY dept_id ORDER BY salary DESC) AS place, lag(ssn) OVER (ORDER BY id) AS before
  FROM hr.people;
CREATE VIEW hr.latest AS
  SELECT d.name, l.ssn FROM hr.departments d CROSS JOIN LATERAL
    (SELECT p.ssn FROM hr.people p WHERE p.dept_id = d.id ORDER BY p.id DESC LIMIT 1) l;
CREATE VIEW hr.computed AS SELECT id, public.order_total(id) AS total FROM hr.people;
CREATE VIEW hr.guarded WITH (security_barrier) AS SELECT id, name, ssn FROM hr.people WHERE salary < 1000;
CREATE VIEW hr.rows AS SELECT p AS person, p.id FROM hr.people p;
CREATE VIEW app.all_bases AS SELECT * FROM app.base;
CREATE VIEW "Weird Schema"."A View" AS SELECT "E-Mail" AS "Mail Of", "select" AS "from" FROM "Weird Schema"."Odd Table";
CREATE MATERIALIZED VIEW public.contact_copies AS SELECT id, reach AS copied FROM public.customer_contacts;
CREATE MATERIALIZED VIEW public.spending AS SELECT customer_id, sum(amount) AS spent FROM public.orders GROUP BY 1;
CREATE VIEW public.over_copies AS SELECT copied, spent FROM public.contact_copies JOIN public.spending ON customer_id = id;

-- The session's own.
CREATE TEMP TABLE scratch (id int, email text, note text);
CREATE TEMP TABLE items (id int, hidden text);
CREATE TEMP VIEW scratch_view AS SELECT id, email FROM public.customers;
