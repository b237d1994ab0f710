-- What Prometheus is told, as (metric, subscription, state, value): one look at the open deliveries, at the index of the
-- failed ones and at the workers. A subscription that is off the bus is told of while something of it waits.
-- Called by metrics.
WITH open AS MATERIALIZED (
    SELECT subscription_id, state, count(*) AS deliveries FROM buslog.deliveries GROUP BY subscription_id, state
), failed AS MATERIALIZED (
    SELECT subscription_id, count(*) AS deliveries FROM buslog.ended_deliveries
    WHERE state = 'failed' AND latest GROUP BY subscription_id
), live AS MATERIALIZED (
    SELECT hosts FROM buslog.workers WHERE retired_at IS NULL AND lease_until > clock_timestamp()
), told AS MATERIALIZED (
    SELECT s.* FROM buslog.subscriptions s
    WHERE s.active OR s.id IN (SELECT subscription_id FROM open UNION SELECT subscription_id FROM failed)
)
SELECT 'open', s.subscription, o.state::text, o.deliveries::float8
FROM open o JOIN told s ON s.id = o.subscription_id
UNION ALL
SELECT 'oldest', s.subscription, NULL, extract(epoch FROM clock_timestamp() - buslog.id_time(first.message_id))::float8
FROM told s CROSS JOIN LATERAL (
    SELECT d.message_id FROM buslog.deliveries d
    WHERE d.subscription_id = s.id AND d.state = 'pending' AND NOT d.alone ORDER BY d.ready_seq LIMIT 1
) AS first
UNION ALL
SELECT 'failed', s.subscription, NULL, coalesce(f.deliveries, 0)::float8
FROM told s LEFT JOIN failed f ON f.subscription_id = s.id
UNION ALL
SELECT 'paused', s.subscription, NULL, (s.paused_at IS NOT NULL)::integer::float8 FROM told s
UNION ALL
SELECT 'circuit', s.subscription, NULL, (f.opened_at IS NOT NULL)::integer::float8
FROM told s JOIN buslog.flow f ON f.subscription_id = s.id WHERE s.outage_after IS NOT NULL
UNION ALL
SELECT 'hosted', s.subscription, NULL, (SELECT count(*) FROM live l WHERE s.id = ANY (l.hosts))::float8 FROM told s
UNION ALL
SELECT 'workers', NULL, NULL, (SELECT count(*) FROM live)::float8
