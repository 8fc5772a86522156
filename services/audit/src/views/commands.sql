-- One row per command: an admission unit, the smallest thing that can have an effect (in PostgreSQL a simple query, a Parse or a portal).
-- at | its first record
-- session_id |
-- command | number within the session, from 1
-- principal |
-- actors | who acts for the principal, current actor first
-- connection |
-- database |
-- protocol |
-- unit | simple-query, parse, portal, function-call
-- statement | as far as the reader may see it: the text, or the text without its constants
-- normalized | the text with every constant replaced by $n
-- verdict | forward, hold, deny; of a granted command: what it was before the grant, hold
-- policies | ids of the policies that decided
-- message | the sentence that the client got when it was denied, or its result was withheld or cut off
-- status | denied, held, admitted, running, ok, error, cancelled, prepared, unknown (admitted, and nobody can say what became of it)
-- code | in the client's protocol: a SQLSTATE
-- tag | e.g. `SELECT 5`
-- rows | null until completed
-- bytes_to_client | null until completed
-- duration_us | from forwarding to the target's completion, microseconds; null until completed
-- wait_us | from arrival to forwarding: decision, approval, acknowledgement, microseconds; null until completed
-- approval_id | that was asked for or used
-- verdict_id | of the last decision
-- actions | business actions: read, write, define, …
-- relations | that it names
-- held_at | null: never held
-- admitted_at | null: never admitted
-- forwarded_at | null: not known to have reached the target
-- completed_at | null: not known to have ended
-- first_seq | its first record's number in the session
-- last_seq | its last one's
-- trace_id |
SELECT c.at AS at, c.session_id AS session_id, c.command AS command, c.principal AS principal, c.actors AS actors, c.connection AS connection,
    s.database AS database, c.protocol AS protocol, c.unit AS unit,
    REVEAL[c.text ELSE if(v.normalized = '' AND c.text != '', '[not shown]', v.normalized)] AS statement, v.normalized AS normalized,
    v.outcome AS verdict, v.determining AS policies, c.deny_message AS message,
    multiIf(c.denied_at > 0, 'denied', c.completed_at > 0, c.status, c.lost_at > 0 OR s.lost_at > 0 OR (s.closed_at > 0 AND c.admitted_at > 0), 'unknown',
        c.forwarded_at > 0, 'running', c.admitted_at > 0, 'admitted', c.prepared_at > 0, 'prepared', c.held_at > 0, 'held', 'unknown') AS status,
    if(c.denied_at > 0, c.deny_code, c.code) AS code, c.tag AS tag,
    if(c.completed_at > 0, c.rows, NULL) AS rows, if(c.completed_at > 0, c.bytes_to_client, NULL) AS bytes_to_client,
    if(c.completed_at > 0, c.duration_us, NULL) AS duration_us, if(c.completed_at > 0, c.wait_us, NULL) AS wait_us,
    c.approval_id AS approval_id, if(c.verdict_id != '', c.verdict_id, c.held_verdict_id) AS verdict_id, v.actions AS actions, v.relations AS relations,
    if(c.held_at > 0, c.held_at, NULL) AS held_at, if(c.admitted_at > 0, c.admitted_at, NULL) AS admitted_at,
    if(c.forwarded_at > 0, c.forwarded_at, NULL) AS forwarded_at, if(c.completed_at > 0, c.completed_at, NULL) AS completed_at,
    c.first_seq AS first_seq, c.last_seq AS last_seq, c.trace_id AS trace_id
FROM storage.command_facts AS c FINAL
LEFT ANY JOIN (SELECT session_id, verdict_id, outcome, determining, normalized, actions, relations FROM storage.verdict_facts) AS v
    ON c.session_id = v.session_id AND if(c.held_verdict_id != '', c.held_verdict_id, c.verdict_id) = v.verdict_id
LEFT ANY JOIN (SELECT session_id, database, lost_at, closed_at FROM storage.session_facts FINAL) AS s ON c.session_id = s.session_id
