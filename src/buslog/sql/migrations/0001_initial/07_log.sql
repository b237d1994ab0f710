-- The public view: one row per delivery (its latest generation), and one for a message without any.
-- LATERAL, so that a page of messages is read first and its deliveries after.
CREATE VIEW buslog.log AS
SELECT m.id AS message_id, m.kind, m.name, m.key, m.emitted_at,
       s.subscription, s.mode, d.state, d.attempts, d.last_error_type, d.last_error, d.finished_at,
       m.correlation_id, m.causation_id, m.payload
FROM buslog.messages m
CROSS JOIN LATERAL (
    SELECT o.subscription_id, o.state::text AS state, o.attempt AS attempts,
           a.error_type AS last_error_type, a.error AS last_error, NULL::timestamptz AS finished_at
    FROM buslog.deliveries o
    LEFT JOIN LATERAL (
        SELECT t.error_type, t.error FROM buslog.attempts t
        WHERE t.message_id = o.message_id AND t.subscription_id = o.subscription_id
        ORDER BY t.generation DESC, t.attempt DESC LIMIT 1
    ) AS a ON o.attempt > 0 OR o.generation > 1
    WHERE o.message_id = m.id
  UNION ALL
    SELECT e.subscription_id, e.state::text, e.attempts, e.error_type, e.error, e.finished_at
    FROM buslog.ended_deliveries e WHERE e.message_id = m.id AND e.latest
  UNION ALL
    SELECT NULL, CASE WHEN m.source = 'import' THEN 'imported' ELSE 'unrouted' END, NULL, NULL, NULL, NULL
    WHERE m.routed = 0
) AS d
LEFT JOIN buslog.subscriptions s ON s.id = d.subscription_id;
COMMENT ON VIEW buslog.log IS 'One row per delivery (latest generation), and one for a message without any.';
