-- Adds an alert rule, or changes the one of that name. Called by alerts.
INSERT INTO buslog.alert_rules
    (rule, kind, threshold, at_least, window_seconds, subscription, channels, quiet_from, quiet_until, zone,
     remind_seconds, enabled)
VALUES (%(rule)s, %(kind)s, %(threshold)s, %(at_least)s, %(window_seconds)s, %(subscription)s, %(channels)s,
        %(quiet_from)s, %(quiet_until)s, %(zone)s, %(remind_seconds)s, %(enabled)s)
ON CONFLICT (rule) DO UPDATE SET
    kind = EXCLUDED.kind, threshold = EXCLUDED.threshold, at_least = EXCLUDED.at_least,
    window_seconds = EXCLUDED.window_seconds, subscription = EXCLUDED.subscription, channels = EXCLUDED.channels,
    quiet_from = EXCLUDED.quiet_from, quiet_until = EXCLUDED.quiet_until, zone = EXCLUDED.zone,
    remind_seconds = EXCLUDED.remind_seconds, enabled = EXCLUDED.enabled
