-- What is missing, altered or refused, and sessions whose end nobody saw.
-- at | when it was found
-- kind | gap-found, chain-broken, session-lost, batch-refused, message-unreadable
-- edge | instance
-- lane |
-- epoch |
-- session_id | empty: about a lane
-- detail | JSON: which batches or records
SELECT at, kind, JSONExtractString(data, 'edge') AS edge, JSONExtract(data, 'lane', 'UInt32') AS lane, JSONExtractUInt(data, 'epoch') AS epoch, JSONExtractString(data, 'session_id') AS session_id, data AS detail
FROM storage.event_facts FINAL
WHERE kind IN ('gap-found', 'chain-broken', 'session-lost', 'batch-refused', 'message-unreadable')
