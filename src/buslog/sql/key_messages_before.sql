-- Messages of a key before an id, newest first. Called by insights.
SELECT id, kind::text, name, emitted_at, source, actor, correlation_id, causation_id, routed
FROM buslog.messages WHERE key = %(key)s AND id < %(before)s::uuid ORDER BY id DESC LIMIT %(places)s
