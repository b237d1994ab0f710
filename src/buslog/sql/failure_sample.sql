-- The last attempt of a group's newest failure. Called by insights.
SELECT e.message_id, s.subscription, coalesce(e.error_type, ''), coalesce(e.error, ''), a.frame, a.traceback, e.worker,
       a.code_version, e.finished_at
FROM buslog.failure_groups g
JOIN buslog.ended_deliveries e ON e.message_id = g.sample_message AND e.subscription_id = g.sample_subscription
                              AND e.generation = g.sample_generation
JOIN buslog.subscriptions s ON s.id = e.subscription_id
LEFT JOIN LATERAL (
    SELECT t.frame, t.traceback, t.code_version FROM buslog.attempts t
    WHERE t.message_id = e.message_id AND t.subscription_id = e.subscription_id AND t.generation = e.generation
    ORDER BY t.attempt DESC LIMIT 1
) AS a ON true
WHERE g.fingerprint = %(fingerprint)s
