-- How long a look took, with what followed from it. Called by alerting.
UPDATE buslog.alert_watch SET took = clock_timestamp() - checked_at
