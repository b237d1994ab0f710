-- The latest runs of a command with their results, newest first. Called by insights.
SELECT m.id, m.key, m.emitted_at, m.actor, m.source, d.state, d.attempts, d.error_type, d.error, d.result, d.finished_at
FROM (
    SELECT * FROM buslog.messages WHERE name = %(command)s AND kind = 'command' ORDER BY id DESC LIMIT %(places)s
) AS m
CROSS JOIN LATERAL (
    SELECT o.state::text AS state, o.attempt AS attempts, a.error_type, a.error, NULL::text AS result,
           NULL::timestamptz AS finished_at
    FROM buslog.deliveries o
    LEFT JOIN LATERAL (
        SELECT t.error_type, t.error FROM buslog.attempts t
        WHERE t.message_id = o.message_id AND t.subscription_id = o.subscription_id
        ORDER BY t.generation DESC, t.attempt DESC LIMIT 1
    ) AS a ON true
    WHERE o.message_id = m.id
  UNION ALL
    SELECT e.state::text, e.attempts, e.error_type, e.error, jsonb_pretty(e.result), e.finished_at
    FROM buslog.ended_deliveries e WHERE e.message_id = m.id AND e.latest
  UNION ALL
    SELECT CASE WHEN m.source = 'import' THEN 'imported' ELSE 'unrouted' END, NULL, NULL, NULL, NULL, NULL
    WHERE m.routed = 0
) AS d
ORDER BY m.id DESC
LIMIT %(places)s
