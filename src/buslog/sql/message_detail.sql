-- A message as it was said; its payload as pretty text, cut. Called by insights.
SELECT m.id, m.kind::text, m.name, m.key, m.emitted_at, m.source, m.actor, m.correlation_id, m.causation_id, m.routed,
       left(p.pretty, %(shown)s), octet_length(m.payload::text), length(p.pretty) > %(shown)s
FROM buslog.messages m CROSS JOIN LATERAL (SELECT jsonb_pretty(m.payload) AS pretty) AS p
WHERE m.id = %(id)s
