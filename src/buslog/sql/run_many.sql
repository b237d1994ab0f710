-- Runs of one command by a person's hand, in one commit; id of each, and whether its form had been sent already.
-- Called by operations.run_many.
SELECT message_id, duplicate
FROM buslog.emit_many(
    array_fill(%(name)s::text, ARRAY[cardinality(%(payloads)s::text[])]), %(payloads)s::text[]::jsonb[], %(keys)s::text[],
    array_fill(%(batch)s::uuid, ARRAY[cardinality(%(payloads)s::text[])]), NULL, NULL, NULL, NULL,
    %(tokens)s::text[], ARRAY[%(window)s::float8], %(source)s::text, %(actor)s::text, NULL, '{}', 0)
ORDER BY place
