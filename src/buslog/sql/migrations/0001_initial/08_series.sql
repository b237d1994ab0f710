-- What charts read instead of counting the log: counts by minute, hour and day, kept by a fold that workers do.
-- Why it is exact: docs/decisions/0010-series.md.

-- Counts of the messages that were emitted from `at` on for `width`, and of what became of their deliveries. Each is
-- there four times: by name and subscription, by one of them, and as a total.
CREATE TABLE buslog.series (
    width           integer NOT NULL,                -- seconds: 60, 3600, 86400
    name            text NOT NULL,                   -- '': all names
    subscription_id integer NOT NULL,                -- 0: all subscriptions, and the messages themselves
    at              timestamptz NOT NULL,
    messages        integer NOT NULL,
    unrouted        integer NOT NULL,
    imported        integer NOT NULL,
    succeeded       integer NOT NULL,                -- deliveries in their latest generation
    failed          integer NOT NULL,
    cancelled       integer NOT NULL,
    errors          integer NOT NULL,                -- attempts that raised or were lost, of all generations
    PRIMARY KEY (width, name, subscription_id, at)
) WITH (fillfactor = 70);

-- How long the last attempts of those deliveries took, on a logarithmic scale: see duration_bucket.
CREATE TABLE buslog.series_durations (
    width           integer NOT NULL,
    subscription_id integer NOT NULL,                -- 0: all subscriptions
    at              timestamptz NOT NULL,
    bucket          smallint NOT NULL,
    deliveries      integer NOT NULL,
    PRIMARY KEY (width, subscription_id, at, bucket)
) WITH (fillfactor = 70);

-- What has been counted: all that was visible in the snapshot `seen`, and nothing else.
CREATE TABLE buslog.series_state (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen         pg_snapshot,                        -- null: nothing yet
    server       bigint,                             -- whose transactions it speaks of: a restored log has other ones
    minutes_from timestamptz NOT NULL DEFAULT '-infinity', -- minutes before it are gone, and counted as hours
    hours_from   timestamptz NOT NULL DEFAULT '-infinity'  -- hours before it likewise, as days
);
INSERT INTO buslog.series_state DEFAULT VALUES;

-- Four buckets an octave of microseconds: a duration is told to within a tenth.
-- Null for what never ran here: an import.
CREATE FUNCTION buslog.duration_bucket(started_at timestamptz, finished_at timestamptz) RETURNS smallint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT floor(4 * ln(greatest(extract(epoch FROM finished_at - started_at)::float8 * 1e6, 1)) / ln(2::float8))::smallint
$$;

CREATE FUNCTION buslog.server() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT system_identifier FROM pg_control_system()
$$;

-- All that counts, one row a fact, with the transaction that made it known. Facts are added and never change: a replay
-- or a cancel does not alter what ended, it is a fact of its own that takes one away.
-- Whoever reads it bounds `xid` or `message_id`.
CREATE VIEW buslog.series_facts AS
SELECT m.xid, m.id AS message_id, m.name, 0 AS subscription_id, 1 AS messages,
       (m.routed = 0 AND m.source <> 'import')::integer AS unrouted, (m.routed = 0 AND m.source = 'import')::integer AS imported,
       0 AS succeeded, 0 AS failed, 0 AS cancelled, 0 AS errors, NULL::smallint AS bucket, 0 AS deliveries
FROM buslog.messages m
UNION ALL
SELECT e.xid, e.message_id, m.name, e.subscription_id, 0, 0, 0,
       (e.state = 'succeeded')::integer, (e.state = 'failed')::integer, (e.state = 'cancelled')::integer, 0,
       CASE WHEN e.state <> 'cancelled' THEN buslog.duration_bucket(e.started_at, e.finished_at) END, 1
FROM buslog.ended_deliveries e LEFT JOIN buslog.messages m ON m.id = e.message_id
UNION ALL
SELECT e.superseded, e.message_id, m.name, e.subscription_id, 0, 0, 0,
       -(e.state = 'succeeded')::integer, -(e.state = 'failed')::integer, -(e.state = 'cancelled')::integer, 0,
       CASE WHEN e.state <> 'cancelled' THEN buslog.duration_bucket(e.started_at, e.finished_at) END, -1
FROM buslog.ended_deliveries e LEFT JOIN buslog.messages m ON m.id = e.message_id
WHERE e.superseded IS NOT NULL
UNION ALL
SELECT a.xid, a.message_id, m.name, a.subscription_id, 0, 0, 0, 0, 0, 0, 1, NULL, 0
FROM buslog.attempts a LEFT JOIN buslog.messages m ON m.id = a.message_id;

-- The first transaction after about so many facts that `seen` does not have, as a number; null when they are fewer.
CREATE FUNCTION buslog.series_step(seen pg_snapshot, places integer) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT min(xid::text::bigint) + 1 FROM (
        (SELECT m.xid FROM buslog.messages m WHERE m.xid >= pg_snapshot_xmax(seen) ORDER BY m.xid OFFSET places LIMIT 1)
      UNION ALL
        (SELECT e.xid FROM buslog.ended_deliveries e WHERE e.xid >= pg_snapshot_xmax(seen) ORDER BY e.xid OFFSET places LIMIT 1)
      UNION ALL
        (SELECT e.superseded FROM buslog.ended_deliveries e WHERE e.superseded >= pg_snapshot_xmax(seen)
         ORDER BY e.superseded OFFSET places LIMIT 1)
      UNION ALL
        (SELECT a.xid FROM buslog.attempts a WHERE a.xid >= pg_snapshot_xmax(seen) ORDER BY a.xid OFFSET places LIMIT 1)
    ) AS first
$$;

-- In a log that was restored to another server what is there has ids of transactions to come: they become one of the
-- past. Returns how many did, of each kind of fact at most `places`.
CREATE FUNCTION buslog.renumber_restored(places integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    one record;
    touched integer;
    total integer := 0;
BEGIN
    FOR one IN VALUES ('messages', 'xid'), ('ended_deliveries', 'xid'), ('ended_deliveries', 'superseded'), ('attempts', 'xid') LOOP
        EXECUTE format(
            'UPDATE buslog.%1$I t SET %2$I = ''1'' FROM (
                 SELECT i.tableoid, i.ctid FROM buslog.%1$I i WHERE i.%2$I >= pg_snapshot_xmax(pg_current_snapshot())
                 ORDER BY i.%2$I LIMIT $1 FOR UPDATE) AS future
             WHERE t.tableoid = future.tableoid AND t.ctid = future.ctid', one.column1, one.column2) USING places;
        GET DIAGNOSTICS touched = ROW_COUNT;
        total := total + touched;
    END LOOP;
    RETURN total;
END $$;

-- Adds to the series what has become visible since the last fold, about `places` facts of each kind: whole transactions,
-- in the order of their numbers. Returns whether there is more. One process at a time; any other returns at once.
CREATE FUNCTION buslog.fold_series(places integer) RETURNS boolean LANGUAGE plpgsql
-- By the indexes on xid, and the names of deliveries by the messages' key, however large the log is.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    state record;
    step bigint;
    next_seen pg_snapshot;
    late xid8[];
    touched integer;
    is_over boolean;                                 -- minutes or hours have become too old to be kept
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('buslog.series')) THEN
        RETURN false;
    END IF;
    -- In a statement of its own after the lock: the snapshot is not older than the last fold.
    SELECT s.*, s.server IS DISTINCT FROM buslog.server() OR pg_snapshot_xmax(s.seen) > pg_snapshot_xmax(pg_current_snapshot()) AS is_foreign,
           pg_current_snapshot() AS current,
           greatest(s.minutes_from, date_bin('1 hour', clock_timestamp() - interval '2 days', 'epoch')) AS next_minutes_from,
           greatest(s.hours_from, date_bin('1 day', clock_timestamp() - interval '100 days', 'epoch')) AS next_hours_from
        INTO state FROM buslog.series_state s FOR UPDATE;
    IF state.is_foreign AND (state.seen IS NOT NULL OR state.server IS NOT NULL) THEN
        DELETE FROM buslog.series;
        DELETE FROM buslog.series_durations;
        UPDATE buslog.series_state SET seen = NULL, server = NULL;
        RETURN true;
    ELSIF state.seen IS NULL THEN
        IF buslog.renumber_restored(places) > 0 THEN
            RETURN true;
        END IF;
        state.seen := '1:1:';
    END IF;

    step := least(buslog.series_step(state.seen, places), pg_snapshot_xmax(state.current)::text::bigint);
    SELECT format('%s:%s:%s', least(step, pg_snapshot_xmin(state.current)::text::bigint), step, string_agg(x::text, ',' ORDER BY x))
        INTO next_seen FROM pg_snapshot_xip(state.current) AS x WHERE x < step::text::xid8;
    late := ARRAY(SELECT pg_snapshot_xip(state.seen));

    WITH fresh AS MATERIALIZED (
        SELECT CASE WHEN f.emitted >= state.next_minutes_from THEN date_bin('1 minute', f.emitted, 'epoch')
                    WHEN f.emitted >= state.next_hours_from THEN date_bin('1 hour', f.emitted, 'epoch')
                    ELSE date_bin('1 day', f.emitted, 'epoch') END AS at, f.*
        FROM (SELECT v.*, buslog.id_time(v.message_id) AS emitted FROM buslog.series_facts v
              WHERE (v.xid >= pg_snapshot_xmax(state.seen) AND v.xid < step::text::xid8 OR v.xid = ANY (late))
                AND pg_visible_in_snapshot(v.xid, next_seen)) AS f
    ), widths AS (
        SELECT * FROM (VALUES (60, state.next_minutes_from), (3600, state.next_hours_from), (86400, '-infinity'))
            AS w (width, since)
    ), lasted AS (
        INSERT INTO buslog.series_durations AS d (width, subscription_id, at, bucket, deliveries)
        SELECT w.width, f.subscription_id, date_bin(make_interval(secs => w.width), f.at, 'epoch') AS start, f.bucket,
               sum(f.deliveries)
        FROM (SELECT f.at, coalesce(f.subscription_id, 0) AS subscription_id, f.bucket, sum(f.deliveries) AS deliveries
              FROM fresh f WHERE f.bucket IS NOT NULL
              GROUP BY f.at, f.bucket, GROUPING SETS ((f.subscription_id), ())) AS f
        JOIN widths w ON f.at >= w.since
        GROUP BY w.width, f.subscription_id, start, f.bucket
        ON CONFLICT (width, subscription_id, at, bucket) DO UPDATE SET deliveries = d.deliveries + excluded.deliveries
    )
    INSERT INTO buslog.series AS s
        (width, name, subscription_id, at, messages, unrouted, imported, succeeded, failed, cancelled, errors)
    SELECT w.width, l.name, l.subscription_id, date_bin(make_interval(secs => w.width), f.at, 'epoch') AS start,
           sum(f.messages), sum(f.unrouted), sum(f.imported), sum(f.succeeded), sum(f.failed), sum(f.cancelled), sum(f.errors)
    FROM (SELECT f.at, f.name, f.subscription_id, sum(f.messages) AS messages, sum(f.unrouted) AS unrouted,
                 sum(f.imported) AS imported, sum(f.succeeded) AS succeeded, sum(f.failed) AS failed,
                 sum(f.cancelled) AS cancelled, sum(f.errors) AS errors
          FROM fresh f GROUP BY f.at, f.name, f.subscription_id) AS f
    JOIN widths w ON f.at >= w.since
    CROSS JOIN LATERAL (SELECT f.name, f.subscription_id UNION SELECT '', f.subscription_id
                        UNION SELECT f.name, 0 UNION SELECT '', 0) AS l (name, subscription_id)
    GROUP BY w.width, l.name, l.subscription_id, start
    ON CONFLICT (width, name, subscription_id, at) DO UPDATE
        SET messages = s.messages + excluded.messages, unrouted = s.unrouted + excluded.unrouted,
            imported = s.imported + excluded.imported, succeeded = s.succeeded + excluded.succeeded,
            failed = s.failed + excluded.failed, cancelled = s.cancelled + excluded.cancelled,
            errors = s.errors + excluded.errors;

    GET DIAGNOSTICS touched = ROW_COUNT;
    is_over := state.next_minutes_from > state.minutes_from OR state.next_hours_from > state.hours_from;
    -- Where nothing was said the state is left as it is: a bus at rest writes nothing.
    IF touched > 0 OR is_over OR step < pg_snapshot_xmax(state.current)::text::bigint THEN
        UPDATE buslog.series_state SET seen = next_seen, server = buslog.server(),
            minutes_from = state.next_minutes_from, hours_from = state.next_hours_from;
    END IF;
    IF is_over THEN
        DELETE FROM buslog.series WHERE width = 60 AND at < state.next_minutes_from OR width = 3600 AND at < state.next_hours_from;
        DELETE FROM buslog.series_durations
            WHERE width = 60 AND at < state.next_minutes_from OR width = 3600 AND at < state.next_hours_from;
    END IF;
    RETURN step < pg_snapshot_xmax(state.current)::text::bigint;
END $$;
