-- The attempts on a message that raised or were lost, newest first; never their tracebacks. Called by insights.
SELECT s.subscription, a.generation, a.attempt, a.started_at, a.finished_at, a.worker, a.code_version,
       a.error_type, a.error, a.frame
FROM buslog.attempts a JOIN buslog.subscriptions s ON s.id = a.subscription_id
WHERE a.message_id = %(id)s
ORDER BY s.id, a.generation DESC, a.attempt DESC
LIMIT 500
