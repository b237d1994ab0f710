-- One message in the caller's transaction. Called by within.emit_sync and emit_async. CAST, not ::, because
-- SQLAlchemy reads this file too.
SELECT message_id, routed, duplicate
FROM buslog.emit_many(
    ARRAY[CAST(%(name)s AS text)], ARRAY[CAST(CAST(%(payload)s AS text) AS jsonb)], ARRAY[CAST(%(key)s AS text)],
    ARRAY[CAST(%(correlation_id)s AS uuid)], ARRAY[CAST(%(causation_id)s AS uuid)],
    ARRAY[CAST(%(traceparent)s AS text)], ARRAY[CAST(%(delay)s AS float8)], ARRAY[CAST(%(due_at)s AS timestamptz)],
    CASE WHEN CAST(%(dedupe_key)s AS text) IS NOT NULL THEN ARRAY[CAST(%(dedupe_key)s AS text)] END,
    ARRAY[CAST(%(dedupe_window)s AS float8)],
    'bus', NULL, NULL, CAST('{}' AS integer[]), 0)
