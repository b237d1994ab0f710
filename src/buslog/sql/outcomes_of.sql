-- Where deliveries of one message stand: number, state, last error. Called by store.outcomes_of, for a sync
-- subscriber that another process hosts.
SELECT s.id, coalesce(d.state, e.state)::text, coalesce(e.error_type, a.error_type), coalesce(e.error, a.error)
FROM buslog.subscriptions s
LEFT JOIN buslog.deliveries d ON d.message_id = %(message)b::uuid AND d.subscription_id = s.id
LEFT JOIN buslog.ended_deliveries e ON e.message_id = %(message)b::uuid AND e.subscription_id = s.id AND e.latest
LEFT JOIN LATERAL (
    SELECT t.error_type, t.error FROM buslog.attempts t
    WHERE t.message_id = %(message)b::uuid AND t.subscription_id = s.id
    ORDER BY t.generation DESC, t.attempt DESC LIMIT 1
) AS a ON true
WHERE s.id = ANY (%(subscriptions)b::integer[])
