-- command-admitted command-denied command-held command-forwarded command-completed statement-prepared result-refused
INSERT INTO storage.command_facts
SELECT
    session_id, command, at, principal, actors, connection, protocol,
    if(kind = 'command-admitted', at, zero) AS admitted_at,
    if(kind = 'statement-prepared', at, zero) AS prepared_at,
    if(kind = 'command-held', at, zero) AS held_at,
    if(kind = 'command-denied', at, zero) AS denied_at,
    if(kind = 'command-forwarded', at, zero) AS forwarded_at,
    if(kind = 'command-completed', at, zero) AS completed_at,
    zero AS lost_at,
    if(kind = 'statement-prepared', 'parse', fact.unit), JSONExtractString(sensitive, 'text'), fact.text_length,
    if(kind = 'command-held', '', fact.verdict_id), if(kind = 'command-held', fact.verdict_id, ''), fact.approval_id, fact.trace_id,
    if(kind = 'command-denied', fact.code, ''), multiIf(kind = 'command-denied', fact.message, kind = 'result-refused', fact.reason, ''),
    fact.status, if(kind = 'command-completed', fact.code, ''), fact.tag, fact.rows, fact.bytes_to_client, fact.duration_us, fact.wait_us,
    seq, seq
FROM
(
    SELECT session_id, command, at, principal, actors, connection, protocol, kind, sensitive, seq, fromUnixTimestamp64Micro(0, 'UTC') AS zero, JSONExtract(data, 'Tuple(
        unit String, text_length UInt64, verdict_id String, approval_id String, trace_id String, code String, message String, reason String,
        status String, tag String, rows UInt64, bytes_to_client UInt64, duration_us UInt64, wait_us UInt64)') AS fact
    FROM storage.event_log
    WHERE ord > {from} AND ord <= {to} AND kind IN ({kinds}) AND command > 0
);
