-- One row per recorded piece of what went over the wire. The bytes themselves are shown by replay only.
-- at |
-- session_id |
-- seq | of its record
-- command | 0: outside any
-- principal |
-- connection |
-- direction | to-client, from-client
-- bytes | of the piece
SELECT at, session_id, seq, command, principal, connection, if(kind = 'frame-to-client', 'to-client', 'from-client') AS direction, JSONExtractUInt(data, 'data_bytes') AS bytes
FROM storage.event_log
WHERE kind IN ('frame-to-client', 'frame-from-client')
