-- What keeps the open deliveries of some messages from running, or which worker is at it: one row a delivery, with the
-- facts that decide. Counts stop at 1,000. Called by insights.
SELECT d.message_id, s.subscription, d.state::text, d.attempt - d.uncharged, (s.policy ->> 'max_attempts')::integer,
       d.due_at, d.started_at, d.alone, s.active, s.paused_at, paused.actor, paused.reason,
       EXISTS (SELECT FROM buslog.workers x WHERE s.id = ANY (x.hosts)
                 AND x.retired_at IS NULL AND x.lease_until > clock_timestamp()),
       w.worker, w.retired_at IS NULL AND w.lease_until > clock_timestamp(),
       f.opened_at, f.probe_at, s.concurrency,
       CASE WHEN s.concurrency IS NOT NULL THEN (
           SELECT count(*) FROM buslog.deliveries r WHERE r.subscription_id = s.id AND r.state = 'running' AND r.limited) END,
       s.rate_count, s.rate_per, buslog.tokens(f, s),
       CASE WHEN d.state = 'pending' AND NOT d.alone THEN (
           SELECT count(*) FROM (
               SELECT FROM buslog.deliveries p
               WHERE p.subscription_id = s.id AND p.state = 'pending' AND NOT p.alone AND p.ready_seq < d.ready_seq
               LIMIT 1000) AS ahead) END,
       last.error_type,
       d.chain IS NOT NULL, d.order_key, d.sequenced,
       holder.message_id, holder.name, holder.subscription, holder.state,
       CASE WHEN d.state = 'blocked' AND d.order_key IS NOT NULL THEN (
           SELECT count(*) FROM (
               SELECT FROM buslog.deliveries q
               WHERE q.subscription_id = s.id AND q.order_key = d.order_key AND q.state = 'blocked' AND q.message_id < d.message_id
               LIMIT 1000) AS ahead) END
FROM buslog.deliveries d
JOIN buslog.subscriptions s ON s.id = d.subscription_id
LEFT JOIN buslog.workers w ON w.id = d.worker_id
LEFT JOIN buslog.flow f ON f.subscription_id = s.id
LEFT JOIN LATERAL (
    SELECT o.actor, o.reason FROM buslog.operations o
    WHERE o.subscription = s.subscription AND o.verb = 'pause' AND o.outcome -> 'denied' IS NULL ORDER BY o.id DESC LIMIT 1
) AS paused ON s.paused_at IS NOT NULL
LEFT JOIN LATERAL (
    SELECT a.error_type FROM buslog.attempts a
    WHERE a.message_id = d.message_id AND a.subscription_id = d.subscription_id AND a.generation = d.generation
    ORDER BY a.attempt DESC LIMIT 1
) AS last ON d.attempt > 0
LEFT JOIN LATERAL (
    -- What holds a chain: its open link, or a failed one before this that is not skipped. What holds a key: the same.
    SELECT h.message_id, m.name, x.subscription, h.state FROM (
        (SELECT o.message_id, o.subscription_id, o.state::text AS state, 1 AS place FROM buslog.deliveries o
         WHERE d.chain IS NOT NULL AND o.message_id = d.message_id AND o.chain IS NOT NULL AND o.state <> 'blocked' LIMIT 1)
      UNION ALL
        (SELECT e.message_id, e.subscription_id, 'failed', 2 FROM buslog.ended_deliveries e
         JOIN buslog.subscriptions k ON k.id = e.subscription_id AND NOT k.skips_failed
         WHERE e.message_id = d.message_id AND e.chain < d.chain AND e.latest AND e.state = 'failed' ORDER BY e.chain LIMIT 1)
      UNION ALL
        (SELECT o.message_id, o.subscription_id, o.state::text, 3 FROM buslog.deliveries o
         WHERE o.subscription_id = d.subscription_id AND o.order_key = d.order_key
           AND o.state IN ('pending', 'running', 'retrying') LIMIT 1)
      UNION ALL
        (SELECT e.message_id, e.subscription_id, 'failed', 4 FROM buslog.ended_deliveries e
         WHERE NOT s.skips_failed AND e.subscription_id = d.subscription_id AND e.order_key = d.order_key
           AND e.state = 'failed' AND e.latest AND e.message_id < d.message_id ORDER BY e.message_id LIMIT 1)
    ) AS h
    JOIN buslog.messages m ON m.id = h.message_id
    JOIN buslog.subscriptions x ON x.id = h.subscription_id
    ORDER BY h.place LIMIT 1
) AS holder ON d.state = 'blocked'
WHERE d.message_id = ANY (%(ids)s::uuid[])
ORDER BY d.message_id, s.id
