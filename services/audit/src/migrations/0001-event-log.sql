-- The full log: one row per record and per event, with the exact bytes. Its position on the bus is in the table itself.
CREATE TABLE IF NOT EXISTS storage.event_log
(
    ord UInt64 CODEC(Delta, ZSTD(1)),
    stream LowCardinality(String),
    incarnation LowCardinality(String),
    stream_seq UInt64 CODEC(Delta, ZSTD(1)),
    idx UInt32 CODEC(Delta, ZSTD(1)),
    bus_time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    edge LowCardinality(String),
    lane UInt32,
    epoch UInt64 CODEC(ZSTD(1)),
    batch_no UInt64 CODEC(Delta, ZSTD(1)),
    batch_hash LowCardinality(String),
    session_id String CODEC(ZSTD(1)),
    principal LowCardinality(String),
    actors Array(String) CODEC(ZSTD(1)),
    connection LowCardinality(String),
    protocol LowCardinality(String),
    seq UInt64 CODEC(Delta, ZSTD(1)),
    at DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    kind LowCardinality(String),
    command UInt64 CODEC(Delta, ZSTD(1)),
    service LowCardinality(String),
    aggregate String CODEC(ZSTD(1)),
    event_id String CODEC(ZSTD(1)),
    data String CODEC(ZSTD(1)),
    sensitive String CODEC(ZSTD(1)),
    header String CODEC(ZSTD(1)),
    body String CODEC(ZSTD(1)),
    chain FixedString(32) CODEC(NONE),
    INDEX ord_range ord TYPE minmax GRANULARITY 1,
    PROJECTION positions
    (
        SELECT stream, incarnation, max(stream_seq), max(ord), count() GROUP BY stream, incarnation
    ),
    PROJECTION epochs
    (
        SELECT edge, lane, epoch, max(batch_no), countIf(idx = 0), max(bus_time) GROUP BY edge, lane, epoch
    ),
    PROJECTION batches
    (
        SELECT edge, lane, epoch, batch_no, any(batch_hash), max(bus_time), count() GROUP BY edge, lane, epoch, batch_no
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(bus_time)
ORDER BY (session_id, seq);
