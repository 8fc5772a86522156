-- The full log: one row per record and per event, in the order in which they were ingested (`ord`). Everything else here is made from it.
-- ord | order of ingestion, from 1, without gaps
-- at | the writer's clock
-- bus_time | when the bus took it
-- stream | on the bus: FRAMES_<n> or EVENTS
-- stream_seq | in that stream
-- idx | within its message, from 0
-- edge | instance that recorded it; empty: an event
-- lane | of that edge
-- epoch | one life of the edge's process: ms since 1970 at its start
-- batch_no | within (edge, lane, epoch), from 1
-- session_id | empty: not of a session
-- seq | within the session, from 1; of an event: its sequence in EVENTS
-- principal | who acted; of an event: on whose request it happened
-- actors | who acted for the principal, current actor first
-- connection | by its configured name
-- protocol | e.g. `postgresql`
-- kind | the fact, e.g. `command-admitted`, `token-issued`; all of them: events.md
-- command | number within the session; 0: about none
-- service | who wrote it
-- aggregate | of an event: what it is about, `kind/id`
-- event_id | of an event
-- data | the fact's public fields, JSON
-- sensitive | its sensitive fields, JSON: for readers who may see statement texts, else empty
-- body_bytes | length of the fact as stored
-- chain | SHA-256(previous chain, header, SHA-256(body)), hex; empty for events
SELECT ord, at, bus_time, stream, stream_seq, idx, edge, lane, epoch, batch_no, session_id, seq, principal, actors, connection, protocol,
    kind, command, service, aggregate, event_id, data, REVEAL[sensitive ELSE ''] AS sensitive, length(body) AS body_bytes,
    if(session_id = '', '', lower(hex(chain))) AS chain
FROM storage.event_log
