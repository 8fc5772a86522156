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
    SELECT s.opened_at AS at, s.session_id AS session_id, s.principal AS principal, s.actors AS actors, s.connection AS connection, 'session opened' AS what,
        concat(s.principal, ' from ', s.client_address, ' (', s.client_application, ') to ', s.connection, '/', s.database, ' at ', s.target, ' as ', s.target_role,
            if(s.token_label = '', '', concat(', with token ', s.token_label)), if(empty(s.created_by), '', concat(' made by ', arrayStringConcat(s.created_by, ', ')))) AS detail,
        toUInt64(0) AS command, s.token_id AS ref
    FROM storage.session_facts AS s FINAL WHERE s.opened_at > 0
    UNION ALL
    SELECT s.refused_at, s.session_id, s.principal, s.actors, s.connection, 'login refused', concat('from ', s.client_address, ': ', s.error), toUInt64(0), s.verdict_id
    FROM storage.session_facts AS s FINAL WHERE s.refused_at > 0
    UNION ALL
    SELECT if(s.closed_at > 0, s.closed_at, s.lost_at), s.session_id, s.principal, s.actors, s.connection, if(s.closed_at > 0, 'session closed', 'session lost'),
        if(s.closed_at > 0, concat('cause: ', s.cause, if(s.error = '', '', concat(': ', s.error))), 'its edge ended without closing it: commands that had been admitted may or may not have run'), toUInt64(0), ''
    FROM storage.session_facts AS s FINAL WHERE s.closed_at > 0 OR s.lost_at > 0
    UNION ALL
    SELECT c.at, c.session_id, c.principal, c.actors, c.connection, if(c.verdict = '', 'command', concat('command: ', c.verdict)),
        concat(c.statement, if(empty(c.policies), '', concat(' [', arrayStringConcat(c.policies, ', '), ']')), if(c.message = '', '', concat(': ', c.message))), c.command, c.verdict_id
    FROM {database}.commands AS c
    UNION ALL
    SELECT assumeNotNull(if(c.completed_at IS NULL, c.at, c.completed_at)), c.session_id, c.principal, c.actors, c.connection, concat('command ', c.status),
        multiIf(c.status = 'unknown', 'it was admitted; whether it ran is not known', concat(c.tag, if(c.code = '', '', concat(' ', c.code)), ', ', toString(assumeNotNull(c.rows)), ' rows, ', toString(assumeNotNull(c.bytes_to_client)), ' bytes')), c.command, ''
    FROM {database}.commands AS c WHERE c.completed_at IS NOT NULL OR c.status = 'unknown'
    UNION ALL
    SELECT e.at, e.session_id, e.principal, e.actors, e.connection, 'data seen', concat(if(e.relation = '', '(expression)', e.relation), '.', e.column, ' (', e.class, ') ', e.shown, ' in ', toString(e.rows), ' rows'), e.command, ''
    FROM {database}.exposures AS e WHERE e.class != ''
    UNION ALL
    SELECT a.at, a.session_id, a.requester, a.actors, a.connection, 'approval requested', concat(a.statement, ' held for ', arrayStringConcat(a.groups, ', ')), a.command, a.approval_id
    FROM {database}.approvals AS a
    UNION ALL
    SELECT f.at, JSONExtractString(f.data, 'session_id'), if(JSONExtractString(f.data, 'approver') != '', JSONExtractString(f.data, 'approver'), f.cause), CAST([] AS Array(String)), '', replaceAll(f.kind, '-', ' '),
        concat(JSONExtractString(f.data, 'approval_id'), if(JSONExtractString(f.data, 'reason') = '', '', concat(': ', JSONExtractString(f.data, 'reason')))), JSONExtractUInt(f.data, 'command'), JSONExtractString(f.data, 'approval_id')
    FROM storage.event_facts AS f FINAL WHERE f.kind IN ('approval-granted', 'approval-denied', 'approval-expired', 'approval-used', 'approval-withdrawn')
    UNION ALL
    SELECT f.at, '', f.cause, CAST([] AS Array(String)), '', replaceAll(f.kind, '-', ' '),
        multiIf(f.kind = 'configuration-applied', arrayStringConcat(JSONExtract(f.data, 'changes', 'Array(String)'), '; '),
            f.kind = 'token-issued', concat(JSONExtractString(f.data, 'kind'), ' token ', JSONExtractString(f.data, 'label'), ' for ', JSONExtractString(f.data, 'principal_id')),
            concat(JSONExtractString(f.data, 'principal_id'), ' ', JSONExtractString(f.data, 'token_id'), if(JSONExtractString(f.data, 'reason') = '', '', concat(': ', JSONExtractString(f.data, 'reason'))))),
        toUInt64(0), JSONExtractString(f.data, 'token_id')
    FROM storage.event_facts AS f FINAL WHERE f.kind IN ('configuration-applied', 'token-issued', 'token-revoked', 'principal-offboarded', 'principal-reinstated', 'principal-groups-changed', 'provider-session-ended')
    UNION ALL
    SELECT g.at, g.session_id, '', CAST([] AS Array(String)), '', replaceAll(toString(g.kind), '-', ' '), g.detail, toUInt64(0), '' FROM {database}.gaps AS g WHERE g.kind != 'session-lost'
)
