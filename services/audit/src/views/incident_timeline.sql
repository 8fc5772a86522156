-- Everything in one order, one readable line each, whatever the protocol.
-- at |
-- session_id | empty: not of a session
-- principal | who did it
-- actors | who acted for the principal
-- connection |
-- what | the fact
-- detail | a sentence
-- command | number within the session; 0: about none
-- ref | id to go on with: verdict, approval or token
SELECT at, session_id, principal, actors, connection, what, detail, command, ref FROM
(
    SELECT line.1 AS at, s.session_id AS session_id, s.principal AS principal, s.actors AS actors, s.connection AS connection, line.2 AS what, line.3 AS detail, toUInt64(0) AS command, line.4 AS ref
    FROM storage.session_facts AS s FINAL
    ARRAY JOIN arrayFilter(x -> x.1 > 0, [
        (s.opened_at, 'session opened', concat(s.principal, ' from ', s.client_address, ' (', s.client_application, ') to ', s.connection, '/', s.database, ' at ', s.target, ' as ', s.target_role,
            if(s.token_label = '', '', concat(', with token ', s.token_label)), if(empty(s.created_by), '', concat(' made by ', arrayStringConcat(s.created_by, ', ')))), s.token_id),
        (s.refused_at, 'login refused', concat('from ', s.client_address, ': ', s.error), s.verdict_id),
        (s.closed_at, 'session closed', concat('cause: ', s.cause, if(s.error = '', '', concat(': ', s.error))), ''),
        (if(s.closed_at > 0, s.refused_at, s.lost_at), 'session lost', 'its edge ended without closing it: commands that had been admitted may or may not have run', '')]) AS line
    UNION ALL
    SELECT line.1, c.session_id, c.principal, c.actors, c.connection, line.2, line.3, c.command, line.4
    FROM {database}.commands AS c
    ARRAY JOIN arrayFilter(x -> x.1 > 0, [
        (c.at, if(c.verdict = '', 'command', concat('command: ', c.verdict)),
            concat(c.statement, if(empty(c.policies), '', concat(' [', arrayStringConcat(c.policies, ', '), ']')), if(c.message = '', '', concat(': ', c.message))), c.verdict_id),
        (multiIf(c.completed_at IS NOT NULL, assumeNotNull(c.completed_at), c.status = 'unknown', c.at, fromUnixTimestamp64Micro(0, 'UTC')), concat('command ', c.status),
            if(c.status = 'unknown', 'it was admitted; whether it ran is not known',
                concat(c.tag, if(c.code = '', '', concat(' ', c.code)), ', ', toString(assumeNotNull(c.rows)), ' rows, ', toString(assumeNotNull(c.bytes_to_client)), ' bytes')), '')]) AS line
    UNION ALL
    SELECT e.at, e.session_id, e.principal, e.actors, e.connection, 'data seen',
        concat(if(e.relation = '', '(expression)', e.relation), '.', e.column, ' (', e.class, ') ', if(e.transform IN ('pass', ''), 'clear', 'masked'), ' in ', toString(e.rows), ' rows'), e.command, ''
    FROM storage.exposure_facts AS e FINAL WHERE e.class != ''
    UNION ALL
    SELECT f.at, d.session_id, multiIf(f.kind IN ('approval-requested', 'break-glass-used'), d.principal.id, d.by != '', d.by, d.approver != '', d.approver, f.cause), arrayMap(a -> a.1, d.principal.actors), if(d.connection = '', d.window.connection, d.connection), replaceAll(toString(f.kind), '-', ' '),
        multiIf(f.kind = 'break-glass-used' OR f.kind = 'approval-requested' AND d.window.seconds > 0,
                concat(if(f.kind = 'break-glass-used', 'lifted ', 'access held by '), arrayStringConcat(arrayMap(h -> h.2, d.holds), ', '), ' for ', toString(d.window.seconds), ' s: ', d.reason),
            f.kind = 'approval-requested', concat(REVEAL[JSONExtractString(f.sensitive, 'text') ELSE d.normalized], ' held for ', arrayStringConcat(arrayDistinct(arrayMap(h -> h.1, d.holds)), ', ')),
            f.kind = 'configuration-applied', arrayStringConcat(d.changes, '; '),
            f.kind = 'token-issued', concat(d.kind, ' token ', d.label, ' for ', d.principal_id),
            f.kind IN ('gap-found', 'chain-broken', 'batch-refused', 'message-unreadable'), f.data,
            concat(d.approval_id, d.principal_id, if(d.token_id = '', '', concat(' ', d.token_id)), if(d.reason = '', '', concat(': ', d.reason)))),
        d.command, if(d.approval_id != '', d.approval_id, d.token_id)
    FROM
    (
        SELECT at, kind, cause, data, sensitive, JSONExtract(data, 'Tuple(session_id String, principal Tuple(id String, actors Array(Tuple(id String))), connection String, approver String, by String, window Tuple(connection String, seconds UInt32), normalized String, holds Array(Tuple(group String, policy_id String)),
            changes Array(String), kind String, label String, principal_id String, approval_id String, token_id String, reason String, command UInt64)') AS d
        FROM storage.event_facts FINAL
        WHERE kind NOT IN ('audit-queried', 'session-replayed', 'session-lost', 'principal-seen', 'schema-observed')
    ) AS f
)
