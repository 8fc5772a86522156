-- *events batch-refused message-unreadable
INSERT INTO storage.event_facts
SELECT kind, ord, stream_seq, at, service, aggregate, principal, event_id, data, sensitive
FROM storage.event_log
WHERE ord > {from} AND ord <= {to} AND (stream = 'EVENTS' OR kind IN ('batch-refused', 'message-unreadable'));
