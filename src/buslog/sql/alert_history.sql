-- The latest alerts, newest first, with what was told of each. Called by insights.
SELECT a.id, a.rule, a.what, a.since, a.fired_at, a.resolved_at,
       coalesce((SELECT json_agg(json_build_array(n.channel, n.occasion, n.state, n.made_at, n.due_at, n.is_held, n.tries,
                                                  n.sent_at, n.error) ORDER BY n.id)
                 FROM (SELECT * FROM buslog.alert_notices n WHERE n.alert_id = a.id ORDER BY n.id DESC LIMIT 100) AS n), '[]')::text
FROM buslog.alerts a
WHERE (%(rule)s::text IS NULL OR a.rule = %(rule)s) AND (%(before)s::bigint IS NULL OR a.id < %(before)s)
ORDER BY a.id DESC LIMIT %(places)s
