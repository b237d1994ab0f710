-- A rule fires. Called by alerting.
INSERT INTO buslog.alerts (rule_id, rule, what, groups, since, fired_at, told_at)
VALUES (%(rule_id)s, %(rule)s, %(what)s, %(groups)s::text::jsonb, %(since)s, %(now)s, %(now)s) RETURNING id
