-- How did the request reach the target? One row per session and refused login, hop by hop.
-- at |
-- session_id |
-- principal |
-- actors |
-- client_address | 1. from where
-- client_application |
-- tls | to the gateway: version and cipher; empty: none
-- edge | 2. through which instance
-- lane | of the log
-- gateway_version |
-- protocol |
-- connection | 3. by which connection
-- database |
-- target | 4. to which host and port
-- target_tls | empty: none
-- target_role | as whom
-- target_version |
-- verdict_id | that allowed or refused it
-- durability | what an acknowledgement of the log survived: process, power-loss
-- opened_at | null: refused
-- closed_at | null: open
-- state | open, closed, refused, lost
-- cause |
SELECT s.at AS at, s.session_id AS session_id, s.principal AS principal, s.actors AS actors, s.client_address AS client_address, s.client_application AS client_application, s.tls AS tls,
    s.edge AS edge, s.lane AS lane, s.gateway_version AS gateway_version, s.protocol AS protocol, s.connection AS connection, s.database AS database, s.target AS target, s.target_tls AS target_tls,
    s.target_role AS target_role, s.target_version AS target_version, s.verdict_id AS verdict_id, s.durability AS durability, if(s.opened_at > 0, s.opened_at, NULL) AS opened_at,
    multiIf(s.closed_at > 0, s.closed_at, s.lost_at > 0, s.lost_at, NULL) AS closed_at,
    multiIf(s.closed_at > 0, 'closed', s.refused_at > 0, 'refused', s.lost_at > 0, 'lost', 'open') AS state, if(s.cause != '', s.cause, s.code) AS cause
FROM storage.session_facts AS s FINAL
