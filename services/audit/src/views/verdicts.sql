-- One row per decision: what was asked, what decided it, and whether `policy` signed it.
-- at | when it was recorded
-- session_id |
-- seq | of its record
-- verdict_id |
-- principal |
-- actors |
-- connection |
-- outcome | forward, hold, deny
-- reason | of a denial: policy, not-permitted, not-understood, unsafe-setting, evaluation-error, unknown-subject, not-approved
-- message | the policy author's sentence
-- determining | ids of the policies that decided
-- shadow | ids of shadow policies that would have decided otherwise
-- holds | what has to be lifted by whom, JSON
-- policy_set | content hash of the set that was in force
-- engine | name and version
-- parser | name and version
-- as_of | sequence in EVENTS up to which the decision had seen everything
-- actions | business actions
-- verbs | of the protocol
-- relations | that the command names
-- functions | that it calls
-- statement_count |
-- opaque | 1: the command cannot be analysed
-- normalized | the text with every constant replaced by $n
-- fingerprint | groups statements
-- hidden_classes | of data that the principal may not see in clear
-- approval_id | the grant that it used
-- inputs | canonical JSON of everything that was evaluated: for readers who may see statement texts, else empty
-- inputs_sha256 | of the inputs, hex
-- key_id | that it was signed with
-- mac_valid | true, false, unknown (the key is not known here)
SELECT at, session_id, seq, verdict_id, principal, actors, connection, outcome, reason, message, determining, shadow, holds, policy_set, engine, parser, as_of,
    actions, verbs, relations, functions, statement_count, opaque, normalized, fingerprint, hidden_classes, approval_id,
    REVEAL[verdict_facts.inputs ELSE ''] AS inputs, lower(hex(SHA256(verdict_facts.inputs))) AS inputs_sha256, key_id, mac_valid
FROM storage.verdict_facts FINAL
