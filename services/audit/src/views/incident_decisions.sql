-- Which policy decisions allowed or stopped it? One row per command, with everything that decided it.
-- at |
-- session_id |
-- command |
-- principal |
-- actors |
-- connection |
-- statement | as far as the reader may see it
-- verdict | forward, hold, deny
-- status | what became of it
-- reason | of a denial
-- message | the policy author's sentence
-- policies | that decided
-- shadow | policies that would have decided otherwise
-- policy_set | content hash of the set that was in force
-- engine |
-- parser |
-- as_of | sequence in EVENTS that the decision had seen
-- approval_id |
-- approval | outcome of the request: pending, granted, used, denied, expired, withdrawn, ended; empty: none was needed
-- approvers |
-- approval_kind | command, window, break-glass; empty: none was needed
-- approval_reason | the requester's
-- access_id | approval by which the session was connected at all; empty: none was needed
-- access_kind | window, break-glass
-- access_reason | the requester's
-- verdict_id |
-- inputs_sha256 | of the canonical inputs
-- mac_valid | true, false, unknown
SELECT c.at AS at, c.session_id AS session_id, c.command AS command, c.principal AS principal, c.actors AS actors, c.connection AS connection, c.statement AS statement,
    c.verdict AS verdict, c.status AS status, v.reason AS reason, if(c.message != '', c.message, v.message) AS message, c.policies AS policies, v.shadow AS shadow, v.policy_set AS policy_set,
    v.engine AS engine, v.parser AS parser, v.as_of AS as_of, c.approval_id AS approval_id, a.outcome AS approval, a.approvers AS approvers, a.kind AS approval_kind, a.request_reason AS approval_reason,
    w.approval_id AS access_id, b.kind AS access_kind, b.request_reason AS access_reason, c.verdict_id AS verdict_id,
    v.inputs_sha256 AS inputs_sha256, v.mac_valid AS mac_valid
FROM {database}.commands AS c
LEFT ANY JOIN {database}.verdicts AS v ON c.session_id = v.session_id AND c.verdict_id = v.verdict_id
LEFT ANY JOIN {database}.approvals AS a ON c.approval_id = a.approval_id
LEFT ANY JOIN (SELECT session_id, approval_id FROM {database}.verdicts WHERE approval_id != '' AND actions = ['connect']) AS w ON c.session_id = w.session_id
LEFT ANY JOIN {database}.approvals AS b ON w.approval_id = b.approval_id
