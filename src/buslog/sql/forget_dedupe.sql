-- Dedupe keys whose window has ended, a few thousand at a time. Called by store.upkeep.
DELETE FROM buslog.dedupe WHERE dedupe_key IN (
    SELECT d.dedupe_key FROM buslog.dedupe d WHERE d.until < clock_timestamp() ORDER BY d.until LIMIT 5000
    FOR UPDATE SKIP LOCKED)
