-- Previews that nobody has started within an hour, a few at a time. Called by store.upkeep.
DELETE FROM buslog.replays WHERE id IN (
    SELECT r.id FROM buslog.replays r
    WHERE r.state = 'previewed' AND r.previewed_at < clock_timestamp() - interval '1 hour' LIMIT 20
    FOR UPDATE SKIP LOCKED)
