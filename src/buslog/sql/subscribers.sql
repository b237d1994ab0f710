-- Every subscription as it is now: names, mode, policy, what waits for it and since when, how many live workers host it,
-- is it paused, by whom and why, is its circuit open. One that is off the bus is told of while something of it waits,
-- or where it is asked for. Called by insights.
WITH waiting AS MATERIALIZED (
    SELECT subscription_id, count(*) AS deliveries,
           min(buslog.id_time(message_id)) FILTER (WHERE state IN ('pending', 'blocked')) AS oldest
    FROM buslog.deliveries GROUP BY subscription_id
)
SELECT s.id, s.subscription, s.mode::text, s.policy::text, s.active, coalesce(q.deliveries, 0), q.oldest,
       (SELECT count(*) FROM buslog.workers w
        WHERE s.id = ANY (w.hosts) AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()),
       s.paused_at, f.opened_at, s.kind::text, s.description, s.code_version, s.registered_at,
       ARRAY(SELECT r.name FROM buslog.routes r WHERE r.subscription_id = s.id ORDER BY r.name),
       s.chain_order, s.ordered_by_key, s.skips_failed, s.priority, s.concurrency, s.rate_count, s.rate_per,
       s.outage_after, s.outage_probe, s.unsafe_to_replay, held.actor, held.reason
FROM buslog.subscriptions s
LEFT JOIN buslog.flow f ON f.subscription_id = s.id
LEFT JOIN waiting q ON q.subscription_id = s.id
LEFT JOIN LATERAL (
    SELECT p.actor, p.reason FROM buslog.operations p
    WHERE p.subscription = s.subscription AND p.verb = 'pause' ORDER BY p.id DESC LIMIT 1
) AS held ON s.paused_at IS NOT NULL
WHERE (s.active OR q.deliveries > 0 OR %(subscription)s::text IS NOT NULL)
  AND (%(subscription)s::text IS NULL OR s.subscription = %(subscription)s)
ORDER BY s.subscription
