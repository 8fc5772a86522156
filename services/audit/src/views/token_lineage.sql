-- Which token came from which: one row per token and each token or principal behind it.
-- token_id |
-- principal | whose it is
-- label |
-- depth | 1: directly behind it
-- behind | kind of what stands behind it: token, principal
-- origin | its id
SELECT token_id, principal, label, step.1 AS depth, step.2 AS behind, step.3 AS origin
FROM
(
    SELECT JSONExtract(data, 'Tuple(token_id String, principal_id String, label String, created_by Array(String), issued_with Array(String))') AS f, f.token_id AS token_id, f.principal_id AS principal, f.label AS label
    FROM storage.event_facts FINAL WHERE kind = 'token-issued'
)
ARRAY JOIN arrayConcat(arrayMap((x, i) -> (toUInt32(i), 'token', x), f.issued_with, arrayEnumerate(f.issued_with)), arrayMap((x, i) -> (toUInt32(i), 'principal', x), f.created_by, arrayEnumerate(f.created_by))) AS step
