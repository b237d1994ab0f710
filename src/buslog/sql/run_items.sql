-- The items of a run, oldest message first, from after a place in that order. Called by replays and insights.
SELECT i.message_id, s.subscription, i.generation, i.was::text, i.state::text, i.is_canary, i.superseded, i.reason, m.name, m.key,
       m.emitted_at, e.error_type
FROM (
    SELECT * FROM buslog.replay_items i
    WHERE i.replay_id = %(run)s AND (%(state)s::text IS NULL OR i.state::text = %(state)s)
      AND (NOT %(superseded)s::boolean OR i.superseded)
      AND (%(message)s::uuid IS NULL OR (i.message_id, i.subscription_id) > (
           %(message)s::uuid, coalesce((SELECT x.id FROM buslog.subscriptions x WHERE x.subscription = %(subscription)s), 0)))
    ORDER BY i.message_id, i.subscription_id LIMIT %(places)s
) AS i
JOIN buslog.subscriptions s ON s.id = i.subscription_id
LEFT JOIN LATERAL (SELECT x.name, x.key, x.emitted_at FROM buslog.messages x WHERE x.id = i.message_id OFFSET 0) AS m ON true
LEFT JOIN LATERAL (
    SELECT x.error_type FROM buslog.ended_deliveries x
    WHERE i.state = 'failed again' AND x.message_id = i.message_id AND x.subscription_id = i.subscription_id
      AND x.generation = i.generation + 1 OFFSET 0
) AS e ON true
ORDER BY i.message_id, i.subscription_id
