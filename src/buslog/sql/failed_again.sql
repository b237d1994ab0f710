-- What failed again in a run and is still failed, oldest first. Called by replays.preview_failed.
SELECT i.message_id, i.subscription_id, e.generation, e.state::text
FROM buslog.replay_items i
JOIN buslog.ended_deliveries e USING (message_id, subscription_id)
WHERE i.replay_id = %b AND i.state = 'failed again' AND e.latest AND e.state = 'failed'
ORDER BY i.message_id, i.subscription_id
