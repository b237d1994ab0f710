-- Whether the series have begun, how many messages they do not have yet (at most so many are counted), and how long ago the
-- first of these was emitted; an imported one does not tell. Called by doctor.
WITH known AS MATERIALIZED (
    SELECT coalesce(max(CASE WHEN s.server = buslog.server() AND pg_snapshot_xmax(s.seen) <= pg_snapshot_xmax(pg_current_snapshot())
                             THEN pg_snapshot_xmax(s.seen)::text::bigint END), 0) AS first
    FROM buslog.series_state s
)
SELECT k.first > 0,
       (SELECT count(*) FROM (SELECT FROM buslog.messages m WHERE m.xid >= k.first::text::xid8
                              LIMIT %(places)s::integer) AS behind),
       (SELECT CASE WHEN m.source <> 'import' THEN extract(epoch FROM clock_timestamp() - m.emitted_at)::float8 END
        FROM buslog.messages m WHERE m.xid >= k.first::text::xid8 ORDER BY m.xid LIMIT 1)
FROM known k
