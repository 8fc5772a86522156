-- One row per configuration that was applied: what was in force from when to when.
-- at | when it was applied
-- until | when the next one was; null: in force
-- event_seq | in EVENTS; a verdict with `as_of` from here on, up to the next one, was decided under it
-- digest | of the whole configuration
-- applied_by | principal
-- changes | one readable line per difference to the one before
-- policies | path and text of each file
-- connections | names
-- classifications | how many
SELECT at, if(next_at > at, next_at, NULL) AS until, event_seq, digest, applied_by, changes, policies, connections, classifications
FROM
(
    SELECT at, stream_seq AS event_seq, cause AS applied_by, leadInFrame(at) OVER (ORDER BY ord ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS next_at,
        JSONExtractString(data, 'digest') AS digest, JSONExtract(data, 'changes', 'Array(String)') AS changes,
        JSONExtract(data, 'configuration', 'policies', 'Array(Tuple(path String, text String))') AS policies,
        arrayMap(c -> c.1, JSONExtract(data, 'configuration', 'connections', 'Array(Tuple(name String))')) AS connections,
        JSONLength(data, 'configuration', 'classifications') AS classifications
    FROM storage.event_facts FINAL WHERE kind = 'configuration-applied'
)
