-- Deliveries as they are now, oldest message first. Called by replays.preview_selected.
SELECT w.message_id, s.id, coalesce(d.generation, e.generation), coalesce(d.state, e.state)::text
FROM unnest(%b::uuid[], %b::text[]) AS w (message_id, subscription)
JOIN buslog.subscriptions s ON s.subscription = w.subscription
LEFT JOIN buslog.deliveries d ON d.message_id = w.message_id AND d.subscription_id = s.id
LEFT JOIN buslog.ended_deliveries e ON e.message_id = w.message_id AND e.subscription_id = s.id AND e.latest
WHERE coalesce(d.state, e.state) IS NOT NULL
ORDER BY w.message_id, s.id
