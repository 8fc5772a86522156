-- result-masked
INSERT INTO storage.exposure_facts
SELECT
    session_id, seq, c.index, at, principal, actors, connection, command, JSONExtractString(data, 'plan_id'),
    c.relation, c.name, c.class, c.transform, c.table_oid, c.column_number,
    JSONExtractUInt(data, 'rows'), JSONExtractUInt(data, 'masked_cells'), JSONExtractBool(data, 'scrubbed_text')
FROM storage.event_log
ARRAY JOIN JSONExtract(data, 'columns', 'Array(Tuple(index UInt32, name String, class String, transform String, table_oid UInt32, column_number UInt32, relation String))') AS c
WHERE ord > {from} AND ord <= {to} AND kind IN ({kinds});
