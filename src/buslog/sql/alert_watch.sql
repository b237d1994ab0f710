-- When the rules were last looked at, by which process, how long it took, and since when is counted. Called by
-- alerting and insights.
SELECT nullif(checked_at, '-infinity'), checked_by, took, counting_since FROM buslog.alert_watch
