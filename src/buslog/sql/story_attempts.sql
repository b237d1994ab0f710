-- The attempts on some messages that raised or were lost, oldest first. Called by insights.
SELECT a.message_id, s.subscription, a.generation, a.attempt, a.started_at, a.finished_at, a.worker, a.error_type,
       left(a.error, %(shown)s)
FROM buslog.attempts a JOIN buslog.subscriptions s ON s.id = a.subscription_id
WHERE a.message_id = ANY (%(ids)s::uuid[])
ORDER BY a.message_id, a.subscription_id, a.generation, a.attempt
LIMIT %(places)s
