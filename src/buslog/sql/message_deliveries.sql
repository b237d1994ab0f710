-- All generations of a message's deliveries, open and ended, in one snapshot. Called by insights.
SELECT d.message_id, s.subscription, s.mode::text, d.generation, d.is_latest, d.state, d.attempts, d.repeats,
       d.due_at, d.started_at, d.finished_at, d.worker, d.error_type, d.error, d.result,
       EXISTS (SELECT FROM buslog.workers w WHERE d.subscription_id = ANY (w.hosts)
                 AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()),
       s.unsafe_to_replay
FROM (
    SELECT o.message_id, o.subscription_id, o.generation, true AS is_latest, o.state::text AS state,
           o.attempt AS attempts, o.repeats, o.due_at, o.started_at, NULL::timestamptz AS finished_at, w.worker,
           a.error_type, a.error, NULL::text AS result
    FROM buslog.deliveries o
    LEFT JOIN buslog.workers w ON w.id = o.worker_id
    LEFT JOIN LATERAL (
        SELECT t.error_type, t.error FROM buslog.attempts t
        WHERE t.message_id = o.message_id AND t.subscription_id = o.subscription_id AND t.generation = o.generation
        ORDER BY t.attempt DESC LIMIT 1
    ) AS a ON true
    WHERE o.message_id = %(id)s
  UNION ALL
    SELECT e.message_id, e.subscription_id, e.generation, e.latest, e.state::text,
           e.attempts, e.repeats, NULL, e.started_at, e.finished_at, e.worker,
           e.error_type, e.error, jsonb_pretty(e.result)
    FROM buslog.ended_deliveries e WHERE e.message_id = %(id)s
) AS d
JOIN buslog.subscriptions s ON s.id = d.subscription_id
ORDER BY s.id, d.generation DESC
