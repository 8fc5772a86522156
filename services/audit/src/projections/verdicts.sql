-- verdict-reached
INSERT INTO storage.verdict_facts
SELECT
    session_id, seq, at, principal, actors, connection,
    v.id, v.outcome, v.reason, v.message, JSONExtractString(sensitive, 'verdict', 'verdict', 'inputs'), v.policy_set, v.engine, v.parser, v.determining, v.shadow,
    JSONExtractRaw(data, 'verdict', 'verdict', 'holds'),
    v.facts.actions, v.facts.verbs, arrayMap(r -> if(r.1 = '', r.2, concat(r.1, '.', r.2)), v.facts.relations), v.facts.functions,
    v.facts.statement_count, v.facts.opaque, v.facts.normalized, v.facts.fingerprint, v.hidden_classes, v.approval_id, v.as_of,
    JSONExtractString(data, 'verdict', 'key_id'), if(JSONExtractRaw(data, 'mac_valid') IN ('true', 'false'), JSONExtractRaw(data, 'mac_valid'), 'unknown')
FROM
(
    SELECT session_id, seq, at, principal, actors, connection, data, sensitive, JSONExtract(data, 'verdict', 'verdict', 'Tuple(
        id String, outcome String, reason String, message String, policy_set String, engine String, parser String, determining Array(String), shadow Array(String),
        facts Tuple(actions Array(String), verbs Array(String), relations Array(Tuple(schema String, name String)), functions Array(String), statement_count UInt32, opaque Bool, normalized String, fingerprint String),
        hidden_classes Array(String), approval_id String, as_of UInt64)') AS v
    FROM storage.event_log
    WHERE ord > {from} AND ord <= {to} AND kind IN ({kinds})
);
