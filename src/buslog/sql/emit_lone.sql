-- One message in a commit of its own: the same as emit_many, without the arrays, whose making takes longer than the rest of
-- the client's work. Called by store.emit_many.
SELECT place, message_id, kind::text, key, emitted_at, correlation_id, routed, leased, fences, awaited, duplicate
FROM buslog.emit_many(ARRAY[%b::text], ARRAY[%b::text::jsonb], ARRAY[%b::text], ARRAY[%b::uuid], ARRAY[%b::uuid],
                      ARRAY[%b::text], ARRAY[%b::float8], ARRAY[%b::timestamptz],
                      nullif(ARRAY[%b::text], ARRAY[NULL]::text[]), ARRAY[%b::float8],
                      'bus', NULL, %b::bigint, %b::integer[], %b::integer)
