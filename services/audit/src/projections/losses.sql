-- session-lost
INSERT INTO storage.command_facts (session_id, command, at, first_seq, lost_at)
SELECT JSONExtractString(data, 'session_id'), arrayJoin(JSONExtract(data, 'open_commands', 'Array(UInt64)')), at, 18446744073709551615, at
FROM storage.event_log
WHERE ord > {from} AND ord <= {to} AND kind IN ({kinds});
