-- Every subscription: is it on the bus, for how long has it been paused and has its circuit been open, how many live
-- workers host it, how many of its deliveries wait, how long ago the next of them was emitted, and is it sync. Called by
-- doctor.
WITH waiting AS MATERIALIZED (
    SELECT subscription_id, count(*) AS deliveries FROM buslog.deliveries
    WHERE state IN ('pending', 'blocked') GROUP BY subscription_id
)
SELECT s.subscription, s.active, extract(epoch FROM clock_timestamp() - s.paused_at)::float8,
       extract(epoch FROM clock_timestamp() - f.opened_at)::float8,
       (SELECT count(*) FROM buslog.workers w
        WHERE s.id = ANY (w.hosts) AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()),
       coalesce(q.deliveries, 0),
       (SELECT extract(epoch FROM clock_timestamp() - buslog.id_time(d.message_id))::float8 FROM buslog.deliveries d
        WHERE d.subscription_id = s.id AND d.state = 'pending' AND NOT d.alone ORDER BY d.ready_seq LIMIT 1),
       s.mode = 'sync'
FROM buslog.subscriptions s
LEFT JOIN buslog.flow f ON f.subscription_id = s.id
LEFT JOIN waiting q ON q.subscription_id = s.id
ORDER BY s.subscription
