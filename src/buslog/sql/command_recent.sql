-- Runs of a command for some keys since a moment, newest first. Called by insights.commands.
SELECT m.id, m.key, m.emitted_at, m.actor, m.source, d.state, d.attempts, d.last_error_type, d.last_error, NULL, d.finished_at
FROM buslog.messages m
CROSS JOIN LATERAL (SELECT * FROM buslog.log l WHERE l.message_id = m.id LIMIT 1) AS d
WHERE m.name = %(command)s AND m.kind = 'command' AND m.key = ANY (%(keys)s::text[])
  AND m.id >= buslog.id_floor(%(since)s::timestamptz)
ORDER BY m.id DESC LIMIT %(places)s
