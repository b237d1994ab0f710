-- How many items of a preview each subscription has, the most first. Called by replays.preview.
SELECT s.subscription, n.deliveries FROM (
    SELECT subscription_id, count(*) AS deliveries FROM buslog.replay_items WHERE replay_id = %b AND state = 'waiting'
    GROUP BY subscription_id
) AS n
JOIN buslog.subscriptions s ON s.id = n.subscription_id ORDER BY n.deliveries DESC, s.subscription
