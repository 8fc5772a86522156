-- The session's own relations, which may hide others.
SELECT [[* // email // s // upper(email) // count(*)]] FROM scratch s;
SELECT [[* // hidden // id]] FROM items;
SELECT sku FROM public.items;
SELECT [[* // email]] FROM scratch_view;
SELECT [[* // email]] FROM pg_temp.scratch;
SELECT scratch.email, customers.email FROM scratch JOIN customers USING (id);
INSERT INTO scratch (email) SELECT email FROM customers RETURNING *;
UPDATE scratch SET note = c.email FROM customers c WHERE c.id = scratch.id RETURNING note;
WITH x AS (SELECT * FROM scratch) SELECT email FROM x UNION SELECT name FROM customers;
INSERT INTO customers (name) SELECT note FROM scratch RETURNING name;
