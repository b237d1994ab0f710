-- Alerts that have been over for long, with what was told of them, a thousand at a time. Called by alerting.watch.
DELETE FROM buslog.alerts WHERE id IN (
    SELECT a.id FROM buslog.alerts a WHERE a.resolved_at < clock_timestamp() - %(keep)s::interval
    ORDER BY a.resolved_at LIMIT 1000)
