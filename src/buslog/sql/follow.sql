-- What has become visible since an earlier snapshot, by transaction, and the snapshot of now. Called by store.follow.
-- New is what the earlier snapshot had in progress or did not know: a late commit is not missed, and one that does not
-- come holds nothing back. History that was taken over is not news; after a restore it has ids of transactions to come.
SELECT pg_current_snapshot()::text, m.*
FROM (SELECT %(seen)s::text::pg_snapshot AS seen) AS earlier
LEFT JOIN LATERAL (
    SELECT m.id, m.kind::text, m.name, m.key, m.payload::text, m.emitted_at, m.correlation_id, m.causation_id, m.xid
    FROM buslog.messages m
    WHERE (m.xid >= pg_snapshot_xmax(seen) AND m.xid < pg_snapshot_xmax(pg_current_snapshot())
           OR m.xid = ANY (ARRAY(SELECT pg_snapshot_xip(seen))))
      AND m.name LIKE ANY (%(patterns)s::text[]) AND m.source <> 'import'
) AS m ON true
ORDER BY m.xid, m.id
