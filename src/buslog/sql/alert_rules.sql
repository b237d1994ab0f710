-- The alert rules with what the last look found, and of their open alerts the first. Called by alerting and insights.
SELECT r.id, r.rule, r.kind, r.threshold, r.at_least, r.window_seconds, r.subscription, r.channels,
       r.quiet_from, r.quiet_until, r.zone, r.remind_seconds, r.enabled,
       s.checked_at, s.figure, s.true_since,
       (SELECT min(a.fired_at) FROM buslog.alerts a WHERE a.rule_id = r.id AND a.resolved_at IS NULL),
       (SELECT max(a.fired_at) FROM buslog.alerts a WHERE a.rule_id = r.id)
FROM buslog.alert_rules r LEFT JOIN buslog.alert_rule_states s ON s.rule_id = r.id
ORDER BY r.rule
