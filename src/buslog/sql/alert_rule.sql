-- One alert rule, held until the transaction ends. Called by alerts.
SELECT to_jsonb(r) - 'id' FROM buslog.alert_rules r WHERE r.rule = %(rule)s FOR UPDATE
