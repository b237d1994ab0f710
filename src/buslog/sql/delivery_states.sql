-- The deliveries asked for: their subscription's number, their state now, whether their message is erased. Called by
-- operations.
SELECT w.message_id, w.subscription, s.id, coalesce(d.state, e.state)::text,
       EXISTS (SELECT FROM buslog.messages m WHERE m.id = w.message_id AND m.erased_at IS NOT NULL)
FROM unnest(%b::uuid[], %b::text[]) AS w (message_id, subscription)
JOIN buslog.subscriptions s ON s.subscription = w.subscription
LEFT JOIN buslog.deliveries d ON d.message_id = w.message_id AND d.subscription_id = s.id
LEFT JOIN buslog.ended_deliveries e ON e.message_id = w.message_id AND e.subscription_id = s.id AND e.latest
WHERE coalesce(d.state, e.state) IS NOT NULL
