-- Runs that were put on the bus together: the failed first, then the open ones. Called by insights.commands.
SELECT m.id, m.key, m.emitted_at, m.actor, m.source, l.state, l.attempts, l.last_error_type, l.last_error,
       (SELECT jsonb_pretty(e.result) FROM buslog.ended_deliveries e WHERE e.message_id = m.id AND e.latest LIMIT 1),
       l.finished_at
FROM buslog.log l JOIN buslog.messages m ON m.id = l.message_id
WHERE l.correlation_id = %(batch)s AND l.name = %(command)s AND l.kind = 'command' AND l.causation_id IS NULL
ORDER BY l.state = 'failed' DESC, l.state = 'succeeded', l.message_id
LIMIT %(places)s
