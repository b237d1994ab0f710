-- Whether a failed delivery of one of these failure groups waits for a person. Called by alerting.
SELECT EXISTS (
    SELECT 1 FROM jsonb_to_recordset(%(groups)s::text::jsonb) AS g (subscription text, error_type text, first_message uuid)
    JOIN buslog.subscriptions s ON s.subscription = g.subscription
    CROSS JOIN LATERAL (
        SELECT 1 FROM buslog.ended_deliveries e
        WHERE e.state = 'failed' AND e.latest AND e.message_id >= g.first_message
          AND e.subscription_id = s.id AND left(coalesce(e.error_type, ''), 200) = g.error_type
        ORDER BY e.message_id LIMIT 1) AS waiting)
