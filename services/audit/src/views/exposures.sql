-- Who saw what: one row per result and column of a known class or origin.
-- at | when the result had been sent
-- session_id |
-- command |
-- principal |
-- actors |
-- connection |
-- relation | schema.name as observed; empty: an expression
-- column | its name in the result
-- class | of data; empty: none is known
-- shown | clear, masked
-- transform | pass, redact, partial, null, hash, scan
-- rows | of the result
-- masked_cells | in the whole result
-- seq | of its record
-- position | of the column in the result, from 0
SELECT at, session_id, command, principal, actors, connection, relation, column, class, if(transform IN ('pass', ''), 'clear', 'masked') AS shown, transform, rows, masked_cells, seq, position
FROM storage.exposure_facts FINAL
