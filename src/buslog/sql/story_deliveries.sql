-- All generations of the deliveries of some messages, open and ended, without results. Called by insights.
SELECT d.message_id, s.subscription, d.generation, d.is_latest, d.state, d.attempts, d.due_at, d.started_at, d.finished_at,
       d.worker, d.error_type, left(d.error, %(shown)s)
FROM (
    SELECT o.message_id, o.subscription_id, o.generation, true AS is_latest, o.state::text AS state, o.attempt AS attempts,
           o.due_at, o.started_at, NULL::timestamptz AS finished_at, w.worker, NULL::text AS error_type, NULL::text AS error
    FROM buslog.deliveries o LEFT JOIN buslog.workers w ON w.id = o.worker_id
    WHERE o.message_id = ANY (%(ids)s::uuid[])
  UNION ALL
    SELECT e.message_id, e.subscription_id, e.generation, e.latest, e.state::text, e.attempts,
           NULL, e.started_at, e.finished_at, e.worker, e.error_type, e.error
    FROM buslog.ended_deliveries e WHERE e.message_id = ANY (%(ids)s::uuid[])
) AS d
JOIN buslog.subscriptions s ON s.id = d.subscription_id
ORDER BY d.message_id, s.id, d.generation
LIMIT %(places)s
