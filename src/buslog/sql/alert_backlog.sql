-- The delivery that has been ready for longest: its subscription, since when, and how many are ready (to 10,001), of a
-- subscription or of all. Called by alerting.
WITH oldest AS (
    SELECT s.subscription, d.*
    FROM buslog.subscriptions s
    CROSS JOIN LATERAL (
        SELECT o.message_id, o.generation, o.attempt, o.ready_seq FROM buslog.deliveries o
        WHERE o.subscription_id = s.id AND o.state = 'pending' AND NOT o.alone
        ORDER BY o.ready_seq LIMIT 1) AS d
    WHERE %(subscription)s::text IS NULL OR s.subscription = %(subscription)s
    ORDER BY d.ready_seq LIMIT 1
)
SELECT o.subscription,
       -- Longer than we have looked: the time of the emit, where it has been ready since then.
       CASE WHEN o.ready_seq > first.ready_seq THEN next.at
            WHEN o.generation = 1 AND o.attempt = 0 THEN least(first.at, buslog.id_time(o.message_id))
            ELSE first.at END,
       (SELECT count(*) FROM (
            SELECT 1 FROM buslog.subscriptions s JOIN buslog.deliveries d ON d.subscription_id = s.id
            WHERE d.state = 'pending' AND NOT d.alone AND (%(subscription)s::text IS NULL OR s.subscription = %(subscription)s)
            LIMIT 10001) AS ready)
FROM oldest o
CROSS JOIN LATERAL (SELECT a.at, a.ready_seq FROM buslog.alert_samples a ORDER BY a.at LIMIT 1) AS first
LEFT JOIN LATERAL (SELECT a.at FROM buslog.alert_samples a WHERE a.ready_seq >= o.ready_seq ORDER BY a.at LIMIT 1) AS next ON true
