-- One message in the caller's transaction. Called by within.emit_sync and emit_async. CAST, not ::, because
-- SQLAlchemy reads this file too.
SELECT message_id, routed, duplicate
FROM buslog.emit_lone(
    CAST(%(name)s AS text), CAST(CAST(%(payload)s AS text) AS jsonb), CAST(%(key)s AS text),
    CAST(%(correlation_id)s AS uuid), CAST(%(causation_id)s AS uuid), CAST(%(traceparent)s AS text),
    CAST(%(delay)s AS float8), CAST(%(due_at)s AS timestamptz),
    CAST(%(dedupe_key)s AS text), CAST(%(dedupe_window)s AS float8),
    'bus', NULL, NULL, CAST('{}' AS integer[]), 0)
