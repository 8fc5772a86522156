-- One row per principal that `identity` has seen.
-- principal |
-- kind | user, workload, agent
-- issuer | of the last login
-- subject | at the issuer: for readers who may see statement texts, else empty
-- groups | now
-- first_seen |
-- last_seen | last login or exchange
-- state | active, offboarded
-- offboarded_at | null: never
-- offboarded_by | principal
-- reason | of the offboarding
-- tokens | issued so far
SELECT p.principal AS principal, p.kind AS kind, p.issuer AS issuer, REVEAL[p.subject ELSE ''] AS subject, p.groups AS groups, p.first_seen AS first_seen, p.last_seen AS last_seen,
    if(p.offboarded > p.reinstated, 'offboarded', 'active') AS state, if(p.offboarded > 0, p.offboarded_time, NULL) AS offboarded_at, p.offboarded_by AS offboarded_by, p.reason AS reason, t.tokens AS tokens
FROM
(
    SELECT JSONExtractString(data, 'principal_id') AS principal,
        argMaxIf(JSONExtractString(data, 'kind'), ord, e.kind = 'principal-seen') AS kind,
        argMaxIf(JSONExtractString(data, 'issuer'), ord, e.kind = 'principal-seen') AS issuer,
        argMaxIf(JSONExtractString(sensitive, 'subject'), ord, e.kind = 'principal-seen') AS subject,
        argMaxIf(JSONExtract(data, 'groups', 'Array(String)'), ord, e.kind IN ('principal-seen', 'principal-groups-changed')) AS groups,
        min(at) AS first_seen, maxIf(at, e.kind = 'principal-seen') AS last_seen,
        maxIf(ord, e.kind = 'principal-offboarded') AS offboarded, maxIf(ord, e.kind = 'principal-reinstated') AS reinstated,
        maxIf(at, e.kind = 'principal-offboarded') AS offboarded_time, argMaxIf(cause, ord, e.kind = 'principal-offboarded') AS offboarded_by,
        argMaxIf(JSONExtractString(data, 'reason'), ord, e.kind = 'principal-offboarded') AS reason
    FROM storage.event_facts AS e FINAL
    WHERE e.kind IN ('principal-seen', 'principal-groups-changed', 'principal-offboarded', 'principal-reinstated')
    GROUP BY principal
) AS p
LEFT JOIN
(
    SELECT JSONExtractString(data, 'principal_id') AS principal, count() AS tokens FROM storage.event_facts FINAL WHERE kind = 'token-issued' GROUP BY principal
) AS t ON p.principal = t.principal
