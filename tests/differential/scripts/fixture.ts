/** What every script may read, and change only in transactions that it rolls back. */
export const FIXTURE = `
CREATE TABLE things (
  id integer PRIMARY KEY,
  word text,
  amount numeric(12, 3),
  flag boolean,
  made timestamptz,
  data bytea,
  doc jsonb,
  tags text[],
  share double precision
);
INSERT INTO things
SELECT n,
       CASE WHEN n % 7 = 0 THEN NULL ELSE 'word ' || n || CASE WHEN n % 5 = 0 THEN E' \\u00e4\\u20ac\\U0001F600\\t\\\\' ELSE '' END END,
       n * 1.125, n % 2 = 0, timestamptz '2026-01-01 UTC' + n * interval '1 hour',
       decode(repeat(lpad(to_hex(n % 256), 2, '0'), n % 11), 'hex'), jsonb_build_object('n', n, 's', 'x"y'),
       ARRAY['a' || n, NULL, 'b,c'], n / 3.0
FROM generate_series(1, 300) AS n;
CREATE TABLE changing (id integer PRIMARY KEY, word text NOT NULL DEFAULT 'none', CHECK (id >= 0));
INSERT INTO changing SELECT n, 'w' || n FROM generate_series(1, 20) AS n;
CREATE TABLE wide (${Array.from({ length: 1600 }, (_, i) => `c${i} smallint DEFAULT ${i % 100}`).join(", ")});
INSERT INTO wide DEFAULT VALUES;
CREATE TABLE scratch (a integer);
CREATE VIEW some_things AS SELECT id, word FROM things WHERE id <= 10;
CREATE FUNCTION say(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE 'heard %', what USING DETAIL = 'in detail', HINT = 'a hint', ERRCODE = '01234';
  RAISE WARNING 'warned of %', what;
  RETURN upper(what);
END $$;
CREATE FUNCTION fails(n integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  IF n % 3 = 0 THEN RAISE EXCEPTION 'failed at %', n USING ERRCODE = 'P0123', COLUMN = 'c', TABLE = 't'; END IF;
  RETURN n;
END $$;
CREATE FUNCTION several(n integer) RETURNS SETOF integer LANGUAGE sql AS 'SELECT generate_series(1, n)';
CREATE PROCEDURE proceeds(INOUT n integer) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; END $$;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN small AS integer CHECK (VALUE < 100);
`;
