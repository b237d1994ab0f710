-- The deliveries asked for, with their subscription's number and their state now. Called by operations.
SELECT w.message_id, w.subscription, s.id, coalesce(d.state, e.state)::text
FROM unnest(%b::uuid[], %b::text[]) AS w (message_id, subscription)
JOIN buslog.subscriptions s ON s.subscription = w.subscription
LEFT JOIN buslog.deliveries d ON d.message_id = w.message_id AND d.subscription_id = s.id
LEFT JOIN buslog.ended_deliveries e ON e.message_id = w.message_id AND e.subscription_id = s.id AND e.latest
WHERE coalesce(d.state, e.state) IS NOT NULL
