-- The open alerts of rules that are there. Called by alerting.
SELECT rule_id, id, what, since, told_at, over_since, groups::text FROM buslog.alerts
WHERE resolved_at IS NULL AND rule_id IS NOT NULL ORDER BY id
