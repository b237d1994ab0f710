-- What a stopped run did not send and that has not moved on since, oldest first. Called by replays.preview_rest.
SELECT i.message_id, i.subscription_id, i.generation, coalesce(d.state, e.state)::text
FROM buslog.replay_items i
LEFT JOIN buslog.deliveries d ON d.message_id = i.message_id AND d.subscription_id = i.subscription_id
                             AND d.generation = i.generation
LEFT JOIN buslog.ended_deliveries e ON e.message_id = i.message_id AND e.subscription_id = i.subscription_id
                                   AND e.generation = i.generation AND e.latest AND e.state = i.was
WHERE i.replay_id = %b AND i.state = 'waiting' AND coalesce(d.state, e.state) IS NOT NULL
ORDER BY i.message_id, i.subscription_id
