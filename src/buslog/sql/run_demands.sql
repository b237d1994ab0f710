-- The highest role that the commands among a run's items demand; NULL: none. Called by replays.start.
SELECT buslog.demanded_role(array_agg(DISTINCT s.subscription))::text
FROM buslog.replay_items i JOIN buslog.subscriptions s ON s.id = i.subscription_id
WHERE i.replay_id = %b
