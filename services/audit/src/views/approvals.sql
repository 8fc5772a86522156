-- One row per request for approval, and per time that somebody broke glass.
-- at | when it was asked for
-- approval_id |
-- kind | command; window: access for a time; break-glass: such access that nobody else granted
-- session_id | that waits
-- command | in that session
-- requester | principal
-- actors | who acted for the requester
-- connection |
-- database |
-- statement | as far as the reader may see it
-- normalized | the text with every constant replaced by $n
-- outcome | pending, granted (and not used; access that is in force), used, denied, expired, withdrawn, ended (access whose time is over)
-- approver | the last who granted, or who denied; empty: nobody
-- approvers | all who granted
-- groups | whose members may lift it
-- policies | that hold it
-- reason | of the request, or of the denial or withdrawal
-- request_reason | why the requester wants it
-- seconds | of access for a time: how long; 0: for one command
-- expires_at |
-- access_until | of access for a time: when it ends by itself; null: not granted
-- decided_at | null: not decided
-- used_at | null: not used
-- ended_by | who took the access back, or gave it back; empty: nobody
-- verdict_id | that held it
-- digest | of what exactly is approved, hex
SELECT at, approval_id, multiIf(broken > 0, 'break-glass', r.window.seconds > 0, 'window', 'command') AS kind, r.session_id AS session_id, r.command AS command, r.principal.id AS requester, arrayMap(a -> a.1, r.principal.actors) AS actors,
    if(r.connection = '', r.window.connection, r.connection) AS connection, if(r.database = '', r.window.database, r.database) AS database,
    REVEAL[text ELSE r.normalized] AS statement, r.normalized AS normalized,
    multiIf(used > 0, 'used', denied > 0, 'denied', withdrawn > 0, 'withdrawn', expired > 0 AND until > 0, 'ended', expired > 0, 'expired', granted > 0, 'granted', 'pending') AS outcome,
    if(denied_by != '', denied_by, last_approver) AS approver, approvers, arrayDistinct(arrayMap(h -> h.2, r.holds)) AS groups, arrayMap(h -> h.1, r.holds) AS policies,
    multiIf(deny_reason != '', deny_reason, withdrawn > 0 AND r.window.seconds > 0, withdraw_reason, r.reason) AS reason, r.reason AS request_reason, r.window.seconds AS seconds,
    fromUnixTimestamp64Milli(if(r.expires_at_ms = 0, until, r.expires_at_ms), 'UTC') AS expires_at, if(until > 0, fromUnixTimestamp64Milli(until, 'UTC'), NULL) AS access_until,
    if(greatest(granted, denied, expired, withdrawn) > 0, greatest(granted, denied, expired, withdrawn), NULL) AS decided_at, if(used > 0, used, NULL) AS used_at, ended_by,
    r.verdict_id AS verdict_id, r.digest AS digest
FROM
(
    SELECT JSONExtractString(data, 'approval_id') AS approval_id,
        minIf(e.at, kind IN ('approval-requested', 'break-glass-used')) AS at,
        anyIf(JSONExtract(data, 'Tuple(session_id String, principal Tuple(id String, actors Array(Tuple(id String))), connection String, database String, command UInt64, normalized String, digest String, holds Array(Tuple(policy_id String, group String)), expires_at_ms Int64, verdict_id String, reason String, window Tuple(connection String, database String, seconds UInt32))'), kind IN ('approval-requested', 'break-glass-used')) AS r,
        anyIf(JSONExtractString(sensitive, 'text'), kind = 'approval-requested') AS text,
        groupUniqArrayIf(JSONExtractString(data, 'approver'), kind = 'approval-granted') AS approvers,
        argMaxIf(JSONExtractString(data, 'approver'), e.ord, kind = 'approval-granted') AS last_approver,
        anyIf(JSONExtractString(data, 'approver'), kind = 'approval-denied') AS denied_by,
        anyIf(JSONExtractString(data, 'reason'), kind = 'approval-denied') AS deny_reason,
        anyIf(JSONExtractString(data, 'cause'), kind = 'approval-withdrawn') AS withdraw_reason,
        anyIf(JSONExtractString(data, 'by'), kind = 'approval-withdrawn') AS ended_by,
        maxIf(JSONExtractInt(data, 'window', 'until_ms'), kind IN ('approval-granted', 'break-glass-used')) AS until,
        maxIf(e.at, kind = 'break-glass-used') AS broken,
        maxIf(e.at, kind = 'break-glass-used' OR kind = 'approval-granted' AND JSONExtractBool(data, 'complete')) AS granted,
        maxIf(e.at, kind = 'approval-denied') AS denied, maxIf(e.at, kind = 'approval-expired') AS expired,
        maxIf(e.at, kind = 'approval-withdrawn') AS withdrawn, maxIf(e.at, kind = 'approval-used') AS used
    FROM storage.event_facts AS e FINAL
    WHERE startsWith(kind, 'approval-') OR kind = 'break-glass-used'
    GROUP BY approval_id
)
