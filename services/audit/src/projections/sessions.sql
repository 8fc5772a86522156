-- session-opened session-refused session-closed session-lost
INSERT INTO storage.session_facts
SELECT
    if(kind = 'session-lost', JSONExtractString(data, 'session_id'), event_log.session_id) AS session_id,
    event_log.at AS at,
    if(kind = 'session-opened', event_log.at, fromUnixTimestamp64Micro(0, 'UTC')) AS opened_at,
    if(kind = 'session-refused', event_log.at, fromUnixTimestamp64Micro(0, 'UTC')) AS refused_at,
    if(kind = 'session-closed', event_log.at, fromUnixTimestamp64Micro(0, 'UTC')) AS closed_at,
    if(kind = 'session-lost', event_log.at, fromUnixTimestamp64Micro(0, 'UTC')) AS lost_at,
    event_log.edge AS edge,
    event_log.lane AS lane,
    event_log.epoch AS epoch,
    event_log.principal AS principal,
    event_log.actors AS actors,
    event_log.connection AS connection,
    event_log.protocol AS protocol,
    fact.database, fact.target, fact.target_role, fact.target_version, fact.target_tls,
    fact.client_address, fact.client_application, fact.tls, fact.gateway_version, fact.durability, fact.verdict_id,
    fact.hidden_classes, fact.trace_id,
    fact.principal.kind, fact.principal.groups, fact.principal.issuer, JSONExtractString(sensitive, 'principal', 'subject'),
    fact.principal.auth_time_ms, fact.principal.mfa, fact.principal.token_id, fact.principal.token_kind, fact.principal.token_label, fact.principal.created_by,
    JSONExtractString(sensitive, 'claimed_user'),
    fact.cause, fact.code, fact.error, fact.commands, fact.bytes_to_client, fact.bytes_from_client,
    if(kind = 'session-lost', 0, event_log.seq) AS last_seq
FROM
(
    SELECT *, JSONExtract(data, 'Tuple(
        database String, target String, target_role String, target_version String, target_tls String, client_address String, client_application String,
        tls String, gateway_version String, durability String, verdict_id String, hidden_classes Array(String), trace_id String,
        principal Tuple(kind String, groups Array(String), issuer String, auth_time_ms Int64, mfa Bool, token_id String, token_kind String, token_label String, created_by Array(String)),
        cause String, code String, error String, commands UInt64, bytes_to_client UInt64, bytes_from_client UInt64)') AS fact
    FROM storage.event_log
    WHERE ord > {from} AND ord <= {to} AND kind IN ({kinds})
) AS event_log;
