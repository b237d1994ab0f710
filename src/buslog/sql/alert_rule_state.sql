-- What a look found of a rule. Called by alerting.
INSERT INTO buslog.alert_rule_states (rule_id, checked_at, figure, true_since)
VALUES (%(rule)s, %(now)s, %(figure)s, %(true_since)s)
ON CONFLICT (rule_id) DO UPDATE
    SET checked_at = EXCLUDED.checked_at, figure = EXCLUDED.figure, true_since = EXCLUDED.true_since
