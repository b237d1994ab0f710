-- Many messages in one commit. Called by store.emit_many.
SELECT place, message_id, kind::text, key, emitted_at, correlation_id, routed, leased, fences, awaited, duplicate
FROM buslog.emit_many(%b::text[], %b::text[]::jsonb[], %b::text[], %b::uuid[], %b::uuid[], %b::text[],
                      %b::float8[], %b::timestamptz[], %b::text[], %b::float8[],
                      'bus', NULL, %b::bigint, %b::text::integer[], %b::integer)
