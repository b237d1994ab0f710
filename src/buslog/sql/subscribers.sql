-- Every subscription as it is now: mode, policy, what waits for it and since when, how many live workers host it, is it
-- paused, is its circuit open. One that is off the bus is told of while something of it waits. Called by insights.
WITH waiting AS MATERIALIZED (
    SELECT subscription_id, count(*) AS deliveries,
           min(buslog.id_time(message_id)) FILTER (WHERE state IN ('pending', 'blocked')) AS oldest
    FROM buslog.deliveries GROUP BY subscription_id
)
SELECT s.id, s.subscription, s.mode::text, s.policy::text, s.active, coalesce(q.deliveries, 0), q.oldest,
       (SELECT count(*) FROM buslog.workers w
        WHERE s.id = ANY (w.hosts) AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()),
       s.paused_at, f.opened_at
FROM buslog.subscriptions s
LEFT JOIN buslog.flow f ON f.subscription_id = s.id
LEFT JOIN waiting q ON q.subscription_id = s.id
WHERE (s.active OR q.deliveries > 0) AND (%(subscription)s::text IS NULL OR s.subscription = %(subscription)s)
ORDER BY s.subscription
