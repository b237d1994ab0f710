-- Alert rules, what they found, and what was told to whom. Called from alerting, alerts.py and insights.
-- Why so: docs/decisions/0021-alerts.md.

CREATE TABLE buslog.alert_rules (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule           text NOT NULL UNIQUE,             -- its name, for people
    kind           text NOT NULL CHECK (kind IN ('failure rate', 'backlog age', 'new failure group', 'no live worker')),
    threshold      double precision NOT NULL,        -- failure rate: a share. Backlog age, no live worker: seconds
    at_least       integer NOT NULL,                 -- failure rate: fewer failures than these are none
    window_seconds double precision NOT NULL,        -- failure rate: how far back. New failure group: unseen for so long
    subscription   text,                             -- null: all
    channels       text[] NOT NULL,                  -- names. Where they lead is a secret, and not in the database
    quiet_from     time,                             -- on the clocks of `zone`; may span midnight
    quiet_until    time,
    zone           text NOT NULL,
    remind_seconds double precision,                 -- told again while it lasts; null: once
    enabled        boolean NOT NULL,
    CHECK ((quiet_from IS NULL) = (quiet_until IS NULL))
);

-- What the last look found: apart from the rules, which only people change.
CREATE TABLE buslog.alert_rule_states (
    rule_id    integer PRIMARY KEY REFERENCES buslog.alert_rules ON DELETE CASCADE,
    checked_at timestamptz NOT NULL,
    figure     double precision,                     -- in the unit of the threshold; null: nothing to measure
    true_since timestamptz                           -- null: it is not so
);

-- One row for each time that a rule fired, from then until it was over.
CREATE TABLE buslog.alerts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id     integer REFERENCES buslog.alert_rules ON DELETE SET NULL,
    rule        text NOT NULL,
    what        text NOT NULL,                       -- a sentence with its numbers
    groups      jsonb,                               -- new failure groups: FoundGroup as JSON
    since       timestamptz NOT NULL,
    fired_at    timestamptz NOT NULL,
    told_at     timestamptz NOT NULL,                -- the newest notice was put on its way
    over_since  timestamptz,                         -- it is over, and not yet believed
    resolved_at timestamptz
);
CREATE INDEX alerts_open ON buslog.alerts (rule_id) WHERE resolved_at IS NULL;
CREATE INDEX alerts_resolved ON buslog.alerts (resolved_at) WHERE resolved_at IS NOT NULL;

-- What is to be told to one channel. Whoever sends claims a row first; one that died with it is followed by another.
CREATE TABLE buslog.alert_notices (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id      bigint NOT NULL REFERENCES buslog.alerts ON DELETE CASCADE,
    channel       text NOT NULL,
    occasion      text NOT NULL CHECK (occasion IN ('fired', 'again', 'resolved')),
    state         text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'suppressed', 'given up')),
    title         text NOT NULL,
    body          text NOT NULL,
    made_at       timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    is_held       boolean NOT NULL,                  -- by quiet hours, until they end
    tries         integer NOT NULL DEFAULT 0,        -- the fence of a claim
    claimed_until timestamptz,
    sent_at       timestamptz,
    error         text                               -- why the last try went wrong: never a URL
);
CREATE INDEX alert_notices_waiting ON buslog.alert_notices (channel, due_at) WHERE state = 'waiting';
CREATE INDEX alert_notices_alert ON buslog.alert_notices (alert_id);

-- How far the looks have come. What ended is counted by transactions, as in 08_series.sql.
CREATE TABLE buslog.alert_watch (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen       pg_snapshot,
    server     bigint,
    checked_at timestamptz NOT NULL DEFAULT '-infinity',
    checked_by text NOT NULL DEFAULT '',
    counting_since timestamptz,                      -- since when what ends is counted without a gap
    took       interval                              -- the look and what followed from it
);
INSERT INTO buslog.alert_watch DEFAULT VALUES;

-- Deliveries by the minute in which they ended: the series have them where their message was emitted, which with the
-- default retries is an hour before they fail.
CREATE TABLE buslog.alert_counts (
    at              timestamptz NOT NULL,
    subscription_id integer NOT NULL,                -- 0: all subscriptions
    succeeded       integer NOT NULL,
    failed          integer NOT NULL,
    PRIMARY KEY (subscription_id, at)
) WITH (fillfactor = 70);

-- How far the order of ready deliveries had come: a later ready_seq became ready later.
CREATE TABLE buslog.alert_samples (
    at        timestamptz PRIMARY KEY,
    ready_seq bigint NOT NULL
);

-- The failure groups as of the last look: what is new, failure_groups does not tell once it is folded.
CREATE TABLE buslog.alert_groups (
    fingerprint text PRIMARY KEY COLLATE "C",
    last_seen   timestamptz NOT NULL
);

-- One look: counts what has ended since the last one, and returns what of it failed, by failure group and subscription,
-- with the seconds since the group was seen before (null: never). After a pause it begins anew, and finds nothing new.
CREATE FUNCTION buslog.look_for_alerts(looker text)
RETURNS TABLE (fingerprint text, subscription text, error_type text, failures bigint, unseen_for double precision,
               first_message uuid, key text)
LANGUAGE plpgsql
-- By the indexes on xid and the messages' key, however large the log is.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    state record;
    late xid8[];
BEGIN
    PERFORM 1 FROM buslog.alert_watch FOR UPDATE;
    -- In a statement of its own after the lock: the snapshot is not older than the last look.
    SELECT w.*, pg_current_snapshot() AS current, clock_timestamp() AS now,
           w.seen IS NULL OR w.server IS DISTINCT FROM buslog.server() OR w.checked_at < clock_timestamp() - interval '2 minutes'
               OR pg_snapshot_xmax(w.seen) > pg_snapshot_xmax(pg_current_snapshot()) AS begins
        INTO state FROM buslog.alert_watch w;
    INSERT INTO buslog.alert_samples (at, ready_seq)
        SELECT state.now, CASE WHEN q.is_called THEN q.last_value ELSE 0 END FROM buslog.ready_seq q;
    UPDATE buslog.alert_watch SET seen = state.current, server = buslog.server(), checked_at = state.now, checked_by = looker,
        counting_since = CASE WHEN state.begins THEN state.now ELSE counting_since END;
    DELETE FROM buslog.alert_samples WHERE at < state.now - interval '25 hours';
    IF date_trunc('hour', state.checked_at) < date_trunc('hour', state.now) THEN
        DELETE FROM buslog.alert_counts WHERE at < state.now - interval '25 hours';
    END IF;
    IF state.begins THEN
        INSERT INTO buslog.alert_groups AS g (fingerprint, last_seen)
        SELECT k.fingerprint, max(k.at) FROM (
            SELECT fingerprint, last_seen AS at FROM buslog.failure_groups
            UNION ALL SELECT fingerprint, at FROM buslog.failure_arrivals) AS k
        GROUP BY k.fingerprint
        ON CONFLICT (fingerprint) DO UPDATE SET last_seen = greatest(g.last_seen, excluded.last_seen);
        RETURN;
    END IF;

    late := ARRAY(SELECT pg_snapshot_xip(state.seen));
    RETURN QUERY
    WITH fresh AS MATERIALIZED (
        SELECT e.message_id, e.subscription_id, e.state, left(coalesce(e.error_type, ''), 200) AS type
        FROM buslog.ended_deliveries e
        WHERE (e.xid >= pg_snapshot_xmax(state.seen) OR e.xid = ANY (late)) AND pg_visible_in_snapshot(e.xid, state.current)
          AND e.state IN ('succeeded', 'failed')
          AND e.finished_at > state.now - interval '10 minutes'  -- not what an import brings
    ), counted AS (
        INSERT INTO buslog.alert_counts AS c (at, subscription_id, succeeded, failed)
        SELECT date_trunc('minute', state.now), coalesce(f.subscription_id, 0),
               count(*) FILTER (WHERE f.state = 'succeeded'), count(*) FILTER (WHERE f.state = 'failed')
        FROM fresh f GROUP BY GROUPING SETS ((f.subscription_id), ()) HAVING count(*) > 0
        ON CONFLICT (subscription_id, at) DO UPDATE
            SET succeeded = c.succeeded + excluded.succeeded, failed = c.failed + excluded.failed
    ), found AS MATERIALIZED (
        SELECT w.fingerprint, f.subscription_id, min(f.type) AS type, count(*) AS failures,
               (array_agg(f.message_id ORDER BY f.message_id))[1] AS first
        FROM fresh f JOIN buslog.failures w ON w.message_id = f.message_id AND w.subscription_id = f.subscription_id
        WHERE f.state = 'failed' GROUP BY w.fingerprint, f.subscription_id
    ), kept AS (
        INSERT INTO buslog.alert_groups AS g (fingerprint, last_seen)
        SELECT DISTINCT f.fingerprint, state.now FROM found f
        ON CONFLICT (fingerprint) DO UPDATE SET last_seen = excluded.last_seen
    )
    SELECT f.fingerprint, s.subscription, f.type, f.failures, extract(epoch FROM state.now - g.last_seen)::float8,
           f.first, m.key
    FROM found f
    JOIN buslog.subscriptions s ON s.id = f.subscription_id
    LEFT JOIN buslog.alert_groups g ON g.fingerprint = f.fingerprint
    LEFT JOIN buslog.messages m ON m.id = f.first
    ORDER BY s.subscription, f.type, f.fingerprint;
END $$;
