-- Who asked the log, and who replayed what.
-- at |
-- principal |
-- kind | audit-queried, session-replayed
-- session_id | that was replayed or followed
-- sql | that was asked: for readers who may see statement texts, else empty
-- rows | of the answer
-- elapsed_ms |
-- error | empty: it was answered
SELECT at, JSONExtractString(data, 'principal_id') AS principal, kind, JSONExtractString(data, 'session_id') AS session_id, REVEAL[JSONExtractString(sensitive, 'sql') ELSE ''] AS sql,
    JSONExtractUInt(data, 'rows') AS rows, JSONExtractUInt(data, 'elapsed_ms') AS elapsed_ms, JSONExtractString(data, 'error') AS error
FROM storage.event_facts FINAL
WHERE kind IN ('audit-queried', 'session-replayed')
