-- Messages of a key between two ids, oldest first. Called by insights.
SELECT id, kind::text, name, emitted_at, source, actor, correlation_id, causation_id, routed
FROM buslog.messages WHERE key = %(key)s AND id > %(after)s::uuid ORDER BY id LIMIT %(places)s
