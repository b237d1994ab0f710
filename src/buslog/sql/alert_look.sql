-- One look: see buslog.look_for_alerts. Called by alerting.
SELECT fingerprint, subscription, error_type, failures, unseen_for, first_message::text, key FROM buslog.look_for_alerts(%s)
