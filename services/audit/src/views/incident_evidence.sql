-- What evidence is there? One row per command: what ran, what came back, what of it was seen, and where its records are.
-- at |
-- session_id |
-- command |
-- principal |
-- actors |
-- connection |
-- database |
-- statement | as far as the reader may see it
-- status |
-- code |
-- rows | null until completed
-- bytes_to_client | null until completed
-- seen_clear | relation.column (class) whose values were sent in clear
-- seen_masked | relation.column (class) whose values were masked
-- first_seq | its records in the session: from
-- last_seq | to; `sallyport replay` shows them
-- trace_id |
SELECT c.at AS at, c.session_id AS session_id, c.command AS command, c.principal AS principal, c.actors AS actors, c.connection AS connection, c.database AS database, c.statement AS statement,
    c.status AS status, c.code AS code, c.rows AS rows, c.bytes_to_client AS bytes_to_client, e.seen_clear AS seen_clear, e.seen_masked AS seen_masked, c.first_seq AS first_seq, c.last_seq AS last_seq, c.trace_id AS trace_id
FROM {database}.commands AS c
LEFT JOIN
(
    SELECT session_id, command, groupUniqArrayIf(what, shown = 'clear') AS seen_clear, groupUniqArrayIf(what, shown = 'masked') AS seen_masked
    FROM (SELECT session_id, command, shown, concat(if(relation = '', '(expression)', relation), '.', column, if(class = '', '', concat(' (', class, ')'))) AS what FROM {database}.exposures)
    GROUP BY session_id, command
) AS e ON c.session_id = e.session_id AND c.command = e.command
