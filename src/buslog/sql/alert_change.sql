-- How an open alert goes on. Called by alerting.
UPDATE buslog.alerts SET told_at = %(told_at)s, over_since = %(over_since)s, resolved_at = %(resolved_at)s
WHERE id = %(alert)s
