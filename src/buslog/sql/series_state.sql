-- What the series have counted: the first transaction that they do not know, the earlier ones that they do not have, and
-- from when on there are minutes and hours. No row: nothing, or of a log that was restored here. Called by insights.
SELECT pg_snapshot_xmax(s.seen)::text, ARRAY(SELECT pg_snapshot_xip(s.seen)::text), s.minutes_from, s.hours_from
FROM buslog.series_state s
WHERE s.server = buslog.server() AND pg_snapshot_xmax(s.seen) <= pg_snapshot_xmax(pg_current_snapshot())
