-- When the rules were last looked at, by which process, and how long it took. Called by insights.
SELECT nullif(checked_at, '-infinity'), checked_by, took FROM buslog.alert_watch
