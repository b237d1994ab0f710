-- The items of a run, oldest message first, from after a place in that order. Called by replays.items.
SELECT i.message_id, s.subscription, i.generation, i.state::text, i.is_canary, i.superseded, i.reason
FROM buslog.replay_items i JOIN buslog.subscriptions s ON s.id = i.subscription_id
WHERE i.replay_id = %(run)s AND (%(state)s::text IS NULL OR i.state::text = %(state)s)
  AND (%(message)s::uuid IS NULL OR (i.message_id, i.subscription_id) > (
       %(message)s::uuid, coalesce((SELECT x.id FROM buslog.subscriptions x WHERE x.subscription = %(subscription)s), 0)))
ORDER BY i.message_id, i.subscription_id LIMIT %(places)s
