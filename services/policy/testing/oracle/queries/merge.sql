-- MERGE and its RETURNING: sources first in `*`.
MERGE INTO customers c USING archive.orders o ON c.id = o.id WHEN MATCHED THEN [[UPDATE SET name = o.iban // UPDATE SET name = c.email // DELETE // DO NOTHING // UPDATE SET (name, phone) = (o.iban, c.email)]] RETURNING [[* // c.* // o.* // c.name // merge_action(), c.phone // old.name, new.name // c // merge_action()]];
MERGE INTO customers c USING archive.orders o ON c.id = o.id WHEN NOT MATCHED THEN INSERT (id, name) VALUES (o.id, [[o.iban // 'x' // upper(o.iban)]]) RETURNING [[c.name // c.* // new.name // c.email]];
MERGE INTO customers c USING archive.orders o ON c.id = o.id WHEN MATCHED AND [[c.email LIKE 'a%' // o.amount > 4]] THEN UPDATE SET name = 'x' WHEN NOT MATCHED BY SOURCE AND c.phone = 'a' THEN DELETE WHEN NOT MATCHED BY TARGET THEN INSERT (id, email) VALUES (1, o.iban) RETURNING c.id, c.email;
MERGE INTO archive.customers a USING (SELECT id, email AS e, phone FROM customers) s ON a.id = s.id WHEN MATCHED THEN UPDATE SET email = s.e WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.phone) RETURNING *;
MERGE INTO archive.customers a USING (SELECT id, email AS e, phone FROM customers) s ON a.id = s.id WHEN MATCHED THEN UPDATE SET email = s.e WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.phone) RETURNING a.email, s.e;
MERGE INTO archive.customers a USING customers c ON a.email = c.email WHEN MATCHED THEN DELETE RETURNING a.*, c.phone;
MERGE INTO archive.customers a USING customers c ON a.email = c.email WHEN MATCHED THEN DELETE;
WITH x AS (SELECT email AS e, id FROM customers) MERGE INTO archive.customers a USING x ON x.id = a.id WHEN MATCHED THEN UPDATE SET email = x.e RETURNING a.email, x.*;
MERGE INTO totals t USING orders o ON t.id = o.id WHEN MATCHED THEN UPDATE SET net = o.amount RETURNING t.gross, t.doubled, t.tax;
MERGE INTO app.measurements m USING customers c ON m.id = c.id WHEN MATCHED THEN UPDATE SET secret = c.email RETURNING m.*;
MERGE INTO ONLY app.base b USING customers c ON b.id = c.id WHEN NOT MATCHED THEN INSERT (label) VALUES (c.email) RETURNING b.label, b.secret;
MERGE INTO hr.people p USING (VALUES (1, 'x')) v (id, name) ON p.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name RETURNING *;
MERGE INTO customers c USING customers d ON c.id = d.id WHEN MATCHED THEN UPDATE SET name = (SELECT max(email) FROM archive.customers), phone = DEFAULT RETURNING c.name, d.name, c.phone;
