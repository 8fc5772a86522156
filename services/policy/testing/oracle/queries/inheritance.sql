-- Generated columns, partitions, heirs.
SELECT [[gross // doubled // * // net // gross + 1 // totals // note // max(gross)]] FROM totals;
SELECT net FROM totals WHERE [[gross > 1 // doubled = 2]];
SELECT [[secret // * // m // m.secret || m.value // max(secret)]] FROM [[app.measurements // app.measurements_1 // app.measurements_2 // ONLY app.measurements]] m;
SELECT [[secret // * // label // b // b.label]] FROM [[app.base // ONLY app.base // app.heir // app.heir_of_two // app.base *]] b;
SELECT own, label FROM app.other_base;
SELECT extra, more, h.secret FROM app.heir h, app.heir_of_two t;
SELECT h.extra, b.* FROM app.heir h JOIN app.base b USING (id);
SELECT a.secret FROM app.measurements_1 a UNION ALL SELECT b.secret FROM app.measurements_2 b;
SELECT secret FROM app.measurements WHERE [[secret LIKE 'a%' // id = 150 // at > now()]];
SELECT count(*) FROM app.measurements;
SELECT tableoid::regclass, secret FROM app.base;
