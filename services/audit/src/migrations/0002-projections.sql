-- What projections fold the log into. Rows of one key are put together by the engine: every column is a write-once fact,
-- so folding a part of the log again changes nothing.

CREATE TABLE IF NOT EXISTS storage.projection_positions
(
    name String,
    ord UInt64
)
ENGINE = AggregatingMergeTree
ORDER BY (name, ord);

CREATE TABLE IF NOT EXISTS storage.session_facts
(
    session_id String,
    at SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    opened_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    refused_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    closed_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    lost_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    edge SimpleAggregateFunction(max, String),
    lane SimpleAggregateFunction(max, UInt32),
    epoch SimpleAggregateFunction(max, UInt64),
    principal SimpleAggregateFunction(max, String),
    actors SimpleAggregateFunction(max, Array(String)),
    connection SimpleAggregateFunction(max, String),
    protocol SimpleAggregateFunction(max, String),
    database SimpleAggregateFunction(max, String),
    target SimpleAggregateFunction(max, String),
    target_role SimpleAggregateFunction(max, String),
    target_version SimpleAggregateFunction(max, String),
    target_tls SimpleAggregateFunction(max, String),
    client_address SimpleAggregateFunction(max, String),
    client_application SimpleAggregateFunction(max, String),
    tls SimpleAggregateFunction(max, String),
    gateway_version SimpleAggregateFunction(max, String),
    durability SimpleAggregateFunction(max, String),
    verdict_id SimpleAggregateFunction(max, String),
    hidden_classes SimpleAggregateFunction(max, Array(String)),
    trace_id SimpleAggregateFunction(max, String),
    principal_kind SimpleAggregateFunction(max, String),
    groups SimpleAggregateFunction(max, Array(String)),
    issuer SimpleAggregateFunction(max, String),
    subject SimpleAggregateFunction(max, String),
    auth_time_ms SimpleAggregateFunction(max, Int64),
    mfa SimpleAggregateFunction(max, UInt8),
    token_id SimpleAggregateFunction(max, String),
    token_kind SimpleAggregateFunction(max, String),
    token_label SimpleAggregateFunction(max, String),
    created_by SimpleAggregateFunction(max, Array(String)),
    claimed_user SimpleAggregateFunction(max, String),
    cause SimpleAggregateFunction(max, String),
    code SimpleAggregateFunction(max, String),
    error SimpleAggregateFunction(max, String),
    commands SimpleAggregateFunction(max, UInt64),
    bytes_to_client SimpleAggregateFunction(max, UInt64),
    bytes_from_client SimpleAggregateFunction(max, UInt64),
    last_seq SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY session_id;

CREATE TABLE IF NOT EXISTS storage.command_facts
(
    session_id String,
    command UInt64,
    at SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    principal SimpleAggregateFunction(max, String),
    actors SimpleAggregateFunction(max, Array(String)),
    connection SimpleAggregateFunction(max, String),
    protocol SimpleAggregateFunction(max, String),
    admitted_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    prepared_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    held_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    denied_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    forwarded_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    completed_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    lost_at SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    unit SimpleAggregateFunction(max, String),
    text SimpleAggregateFunction(max, String),
    text_length SimpleAggregateFunction(max, UInt64),
    verdict_id SimpleAggregateFunction(max, String),
    held_verdict_id SimpleAggregateFunction(max, String),
    approval_id SimpleAggregateFunction(max, String),
    trace_id SimpleAggregateFunction(max, String),
    deny_code SimpleAggregateFunction(max, String),
    deny_message SimpleAggregateFunction(max, String),
    status SimpleAggregateFunction(max, String),
    code SimpleAggregateFunction(max, String),
    tag SimpleAggregateFunction(max, String),
    rows SimpleAggregateFunction(max, UInt64),
    bytes_to_client SimpleAggregateFunction(max, UInt64),
    duration_us SimpleAggregateFunction(max, UInt64),
    wait_us SimpleAggregateFunction(max, UInt64),
    first_seq SimpleAggregateFunction(min, UInt64),
    last_seq SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (session_id, command);

CREATE TABLE IF NOT EXISTS storage.verdict_facts
(
    session_id String,
    seq UInt64,
    at DateTime64(6, 'UTC'),
    principal LowCardinality(String),
    actors Array(String),
    connection LowCardinality(String),
    verdict_id String,
    outcome LowCardinality(String),
    reason LowCardinality(String),
    message String,
    inputs String CODEC(ZSTD(3)),
    policy_set LowCardinality(String),
    engine LowCardinality(String),
    parser LowCardinality(String),
    determining Array(String),
    shadow Array(String),
    holds String,
    actions Array(String),
    verbs Array(String),
    relations Array(String),
    functions Array(String),
    statement_count UInt32,
    opaque UInt8,
    normalized String CODEC(ZSTD(1)),
    fingerprint String,
    hidden_classes Array(String),
    approval_id String,
    as_of UInt64,
    key_id LowCardinality(String),
    mac_valid LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (session_id, verdict_id, seq);

CREATE TABLE IF NOT EXISTS storage.exposure_facts
(
    session_id String,
    seq UInt64,
    position UInt32,
    at DateTime64(6, 'UTC'),
    principal LowCardinality(String),
    actors Array(String),
    connection LowCardinality(String),
    command UInt64,
    plan_id String,
    relation LowCardinality(String),
    column LowCardinality(String),
    class LowCardinality(String),
    transform LowCardinality(String),
    table_oid UInt32,
    column_number UInt32,
    rows UInt64,
    masked_cells UInt64,
    scrubbed_text UInt8
)
ENGINE = ReplacingMergeTree
ORDER BY (session_id, seq, position);

CREATE TABLE IF NOT EXISTS storage.event_facts
(
    kind LowCardinality(String),
    ord UInt64,
    stream_seq UInt64,
    at DateTime64(6, 'UTC'),
    service LowCardinality(String),
    aggregate String,
    cause String,
    event_id String,
    data String CODEC(ZSTD(1)),
    sensitive String CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (kind, ord);

CREATE TABLE IF NOT EXISTS storage.chain_checks
(
    session_id String,
    seq UInt64,
    ord UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (session_id, seq);
