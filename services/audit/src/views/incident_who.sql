-- Who performed the action? One row per session and refused login: the principal, who acted for it, and the token behind it.
-- at |
-- session_id |
-- principal |
-- kind | user, workload, agent
-- actors | who acted for the principal, current actor first
-- groups | that the policy saw
-- issuer | that vouched for the principal
-- token_id |
-- token_kind | access, personal, workload
-- token_label |
-- created_by | who made the token, and who made the token that it was made with
-- authenticated_at | when a person last proved who they are; null: never
-- mfa | 1: with more than one factor
-- claimed_user | the name that was typed: for readers who may see statement texts, else empty
-- client_address |
-- client_application |
-- connection |
-- state | open, closed, refused, lost
-- cause |
SELECT s.at AS at, s.session_id AS session_id, s.principal AS principal, s.principal_kind AS kind, s.actors AS actors, s.groups AS groups, s.issuer AS issuer, s.token_id AS token_id,
    s.token_kind AS token_kind, s.token_label AS token_label, s.created_by AS created_by, if(s.auth_time_ms > 0, fromUnixTimestamp64Milli(s.auth_time_ms, 'UTC'), NULL) AS authenticated_at, s.mfa AS mfa,
    REVEAL[s.claimed_user ELSE ''] AS claimed_user, s.client_address AS client_address, s.client_application AS client_application, s.connection AS connection,
    multiIf(s.closed_at > 0, 'closed', s.refused_at > 0, 'refused', s.lost_at > 0, 'lost', 'open') AS state, if(s.cause != '', s.cause, s.code) AS cause
FROM storage.session_facts AS s FINAL
