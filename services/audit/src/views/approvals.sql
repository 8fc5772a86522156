-- One row per request for approval.
-- at | when it was asked for
-- approval_id |
-- session_id | that waits
-- command | in that session
-- requester | principal
-- actors | who acted for the requester
-- connection |
-- database |
-- statement | as far as the reader may see it
-- normalized | the text with every constant replaced by $n
-- outcome | pending, granted (and not used), used, denied, expired, withdrawn
-- approver | the last who granted, or who denied; empty: nobody
-- approvers | all who granted
-- groups | whose members may lift it
-- policies | that hold it
-- reason | of the request, or of the denial
-- expires_at |
-- decided_at | null: not decided
-- used_at | null: not used
-- verdict_id | that held it
-- digest | of what exactly is approved, hex
SELECT at, approval_id, r.session_id AS session_id, r.command AS command, r.principal.id AS requester, arrayMap(a -> a.1, r.principal.actors) AS actors, r.connection AS connection, r.database AS database,
    REVEAL[text ELSE r.normalized] AS statement, r.normalized AS normalized,
    multiIf(used > 0, 'used', denied > 0, 'denied', withdrawn > 0, 'withdrawn', expired > 0, 'expired', granted > 0, 'granted', 'pending') AS outcome,
    if(denied_by != '', denied_by, last_approver) AS approver, approvers, arrayDistinct(arrayMap(h -> h.2, r.holds)) AS groups, arrayMap(h -> h.1, r.holds) AS policies,
    if(deny_reason != '', deny_reason, r.reason) AS reason, fromUnixTimestamp64Milli(r.expires_at_ms, 'UTC') AS expires_at,
    if(greatest(granted, denied, expired, withdrawn) > 0, greatest(granted, denied, expired, withdrawn), NULL) AS decided_at, if(used > 0, used, NULL) AS used_at,
    r.verdict_id AS verdict_id, r.digest AS digest
FROM
(
    SELECT JSONExtractString(data, 'approval_id') AS approval_id,
        minIf(e.at, kind = 'approval-requested') AS at,
        anyIf(JSONExtract(data, 'Tuple(session_id String, principal Tuple(id String, actors Array(Tuple(id String))), connection String, database String, command UInt64, normalized String, digest String, holds Array(Tuple(policy_id String, group String)), expires_at_ms Int64, verdict_id String, reason String)'), kind = 'approval-requested') AS r,
        anyIf(JSONExtractString(sensitive, 'text'), kind = 'approval-requested') AS text,
        groupUniqArrayIf(JSONExtractString(data, 'approver'), kind = 'approval-granted') AS approvers,
        argMaxIf(JSONExtractString(data, 'approver'), e.ord, kind = 'approval-granted') AS last_approver,
        anyIf(JSONExtractString(data, 'approver'), kind = 'approval-denied') AS denied_by,
        anyIf(JSONExtractString(data, 'reason'), kind = 'approval-denied') AS deny_reason,
        maxIf(e.at, kind = 'approval-granted' AND JSONExtractBool(data, 'complete')) AS granted,
        maxIf(e.at, kind = 'approval-denied') AS denied, maxIf(e.at, kind = 'approval-expired') AS expired,
        maxIf(e.at, kind = 'approval-withdrawn') AS withdrawn, maxIf(e.at, kind = 'approval-used') AS used
    FROM storage.event_facts AS e FINAL
    WHERE startsWith(kind, 'approval-')
    GROUP BY approval_id
)
