-- The messages of a correlation id, oldest first, with their deliveries counted by state; one of them is there even when
-- it lies beyond the cap. Called by insights.
SELECT m.id, m.kind::text, m.name, m.key, m.emitted_at, m.causation_id, m.actor, d.states
FROM (
    (SELECT id, kind, name, key, emitted_at, causation_id, actor, source, routed FROM buslog.messages
     WHERE correlation_id = %(correlation_id)s ORDER BY id LIMIT %(places)s)
  UNION
    (SELECT id, kind, name, key, emitted_at, causation_id, actor, source, routed FROM buslog.messages
     WHERE id = ANY (%(also)s::uuid[]) AND correlation_id = %(correlation_id)s)
) AS m
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_object_agg(c.state, c.count), '{}')::text AS states FROM (
        SELECT state, count(*) FROM (
            SELECT o.state::text AS state FROM buslog.deliveries o WHERE o.message_id = m.id
          UNION ALL
            SELECT e.state::text FROM buslog.ended_deliveries e WHERE e.message_id = m.id AND e.latest
          UNION ALL
            SELECT CASE WHEN m.source = 'import' THEN 'imported' ELSE 'unrouted' END WHERE m.routed = 0
        ) AS each GROUP BY state
    ) AS c
) AS d
ORDER BY m.id
