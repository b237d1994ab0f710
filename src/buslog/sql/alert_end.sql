-- Ends a rule's open alerts, and what has not been sent of them; of one that was changed nothing is told. Called by alerts.
WITH ended AS (
    UPDATE buslog.alerts SET resolved_at = clock_timestamp() WHERE rule = %(rule)s AND resolved_at IS NULL RETURNING id
), forgotten AS (
    DELETE FROM buslog.alert_rule_states USING buslog.alert_rules r WHERE rule_id = r.id AND r.rule = %(rule)s
)
UPDATE buslog.alert_notices n SET state = 'suppressed' FROM ended e WHERE n.alert_id = e.id AND n.state = 'waiting'
