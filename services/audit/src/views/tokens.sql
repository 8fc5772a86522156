-- One row per token: never the token, its id.
-- at | when it was issued
-- token_id |
-- kind | access, personal, workload
-- label |
-- principal | whose it is
-- actors | that it carries
-- created_by | principals whose withdrawal withdraws it
-- issued_with | the token that it was asked for with, the one that that was asked for with, …
-- expires_at | null: unknown
-- state | valid, expired, revoked
-- revoked_at | null: not revoked
-- revoked_by | principal
-- reason | of the revocation
WITH withdrawn AS
(
    SELECT token, argMin(at, ord) AS at, argMin(cause, ord) AS by, argMin(reason, ord) AS reason
    FROM
    (
        SELECT arrayJoin(if(kind = 'token-revoked', [JSONExtractString(data, 'token_id')], JSONExtract(data, 'token_ids', 'Array(String)'))) AS token, at, ord, cause,
            if(kind = 'principal-offboarded', concat('offboarded: ', JSONExtractString(data, 'reason')), if(kind = 'provider-session-ended', 'signed out at the provider', JSONExtractString(data, 'reason'))) AS reason
        FROM storage.event_facts FINAL
        WHERE kind IN ('token-revoked', 'principal-offboarded', 'provider-session-ended')
    )
    GROUP BY token
)
SELECT i.at AS at, i.f.token_id AS token_id, i.f.kind AS kind, i.f.label AS label, i.f.principal_id AS principal, arrayMap(a -> a.1, i.f.actors) AS actors,
    i.f.created_by AS created_by, i.f.issued_with AS issued_with, if(i.f.expires_at_ms > 0, fromUnixTimestamp64Milli(i.f.expires_at_ms, 'UTC'), NULL) AS expires_at,
    multiIf(w.token != '', 'revoked', i.f.expires_at_ms > 0 AND i.f.expires_at_ms < toUnixTimestamp64Milli(now64(3)), 'expired', 'valid') AS state,
    if(w.token != '', w.at, NULL) AS revoked_at, w.by AS revoked_by, w.reason AS reason
FROM
(
    SELECT at, JSONExtract(data, 'Tuple(token_id String, kind String, label String, principal_id String, actors Array(Tuple(id String)), created_by Array(String), issued_with Array(String), expires_at_ms Int64)') AS f
    FROM storage.event_facts FINAL WHERE kind = 'token-issued'
) AS i
LEFT JOIN withdrawn AS w ON i.f.token_id = w.token
