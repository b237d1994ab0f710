-- What of a key is failed or unfinished now, among its newest messages: failed first, then the oldest. Called by insights.
SELECT d.message_id, m.name, s.subscription, d.state, d.error_type, left(d.error, %(shown)s)
FROM (SELECT id, name FROM buslog.messages WHERE key = %(key)s ORDER BY id DESC LIMIT %(messages)s) AS m
CROSS JOIN LATERAL (
    SELECT o.message_id, o.subscription_id, o.state::text AS state, NULL AS error_type, NULL AS error
    FROM buslog.deliveries o WHERE o.message_id = m.id
  UNION ALL
    SELECT e.message_id, e.subscription_id, 'failed', e.error_type, e.error
    FROM buslog.ended_deliveries e WHERE e.message_id = m.id AND e.state = 'failed' AND e.latest
) AS d
JOIN buslog.subscriptions s ON s.id = d.subscription_id
ORDER BY d.state <> 'failed', d.message_id, s.id
