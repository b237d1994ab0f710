-- What is known of these groups, with the text of their newest failure. One that is not folded yet is known by its
-- newest failure alone. The columns are fields of insights.FailureGroup. Called by insights.
SELECT u.fingerprint, coalesce(g.error_type, e.error_type, '') AS error_type, g.place,
       coalesce(nullif(left(e.error, %(shown)s), ''), g.pattern, '') AS sample,
       e.message_id AS sample_message,
       coalesce(g.names, ARRAY(SELECT m.name FROM buslog.messages m WHERE m.id = e.message_id)) AS names,
       ARRAY(SELECT s.subscription FROM buslog.subscriptions s
             WHERE s.id = ANY (coalesce(g.subscriptions, ARRAY[e.subscription_id])) ORDER BY s.subscription) AS subscriptions,
       coalesce(g.total, 0) AS total, coalesce(g.keys, 0) AS keys,
       coalesce(g.first_seen, e.finished_at) AS first_seen, coalesce(g.last_seen, e.finished_at) AS last_seen,
       g.first_release, g.last_release, coalesce(g.status, 'open')::text AS status, g.owner, g.note, g.resolved_at,
       coalesce(g.reopened, 0) AS reopened, g.fingerprint IS NULL AS is_new
FROM unnest(%(fingerprints)s::text[]) AS u (fingerprint)
LEFT JOIN buslog.failure_groups g USING (fingerprint)
LEFT JOIN LATERAL (
    SELECT f.message_id, f.subscription_id, f.generation FROM buslog.failures f
    WHERE g.fingerprint IS NULL AND f.fingerprint = u.fingerprint ORDER BY f.message_id DESC LIMIT 1
) AS newest ON true
LEFT JOIN LATERAL (
    SELECT x.message_id, x.subscription_id, x.error_type, x.error, x.finished_at FROM buslog.ended_deliveries x
    WHERE x.message_id = coalesce(g.sample_message, newest.message_id)
      AND x.subscription_id = coalesce(g.sample_subscription, newest.subscription_id)
      AND x.generation = coalesce(g.sample_generation, newest.generation)
) AS e ON true
WHERE coalesce(g.first_seen, e.finished_at) IS NOT NULL
