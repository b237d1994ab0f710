-- Removes an alert rule; its alerts stay as history. Called by alerts.
DELETE FROM buslog.alert_rules WHERE rule = %(rule)s
