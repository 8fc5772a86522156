-- One row per session, and per login that was refused.
-- at | when it began, or was refused
-- session_id |
-- principal | empty: a login that named nobody who is known
-- actors | who acts for the principal, current actor first
-- connection |
-- database |
-- protocol |
-- state | open, closed, refused, lost (its edge ended without closing it)
-- cause | of its end: client, target, revoked, expired, bus, protocol, shutdown, policy, internal; of a refusal: its code
-- error | the sentence that the client got
-- opened_at |
-- closed_at | or when it was found lost; null: open
-- commands | decided so far
-- denied | of them
-- held | of them, for approval
-- bytes_to_client | null until closed
-- bytes_from_client | null until closed
-- client_address |
-- client_application | as the client names itself
-- target | host:port that was dialled
-- target_role | at the target
-- edge | instance
-- token_id | that was presented
-- verdict_id | of the decision to connect
-- trace_id |
SELECT s.at AS at, s.session_id AS session_id, s.principal AS principal, s.actors AS actors, s.connection AS connection, s.database AS database, s.protocol AS protocol,
    multiIf(s.closed_at > 0, 'closed', s.refused_at > 0, 'refused', s.lost_at > 0, 'lost', 'open') AS state,
    if(s.cause != '', s.cause, if(s.refused_at > 0, s.code, '')) AS cause, s.error AS error,
    if(s.opened_at > 0, s.opened_at, NULL) AS opened_at,
    multiIf(s.closed_at > 0, s.closed_at, s.refused_at > 0, s.refused_at, s.lost_at > 0, s.lost_at, NULL) AS closed_at,
    greatest(c.commands, s.commands) AS commands, c.denied AS denied, c.held AS held,
    if(s.closed_at > 0, s.bytes_to_client, NULL) AS bytes_to_client, if(s.closed_at > 0, s.bytes_from_client, NULL) AS bytes_from_client,
    s.client_address AS client_address, s.client_application AS client_application, s.target AS target, s.target_role AS target_role,
    s.edge AS edge, s.token_id AS token_id, s.verdict_id AS verdict_id, s.trace_id AS trace_id
FROM storage.session_facts AS s FINAL
LEFT JOIN
(
    SELECT session_id, count() AS commands, countIf(denied_at > 0) AS denied, countIf(held_at > 0) AS held
    FROM storage.command_facts FINAL GROUP BY session_id
) AS c ON s.session_id = c.session_id
