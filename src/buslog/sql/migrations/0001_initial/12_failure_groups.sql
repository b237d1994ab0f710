-- Failures by cause. Which delivery belongs to which cause is written with the failure itself, by triggers, so that a
-- group's count is always that of the list behind it; what a group has lived through is kept by a fold that workers do.
-- Why so: docs/decisions/0015-failure-groups.md.

-- The deliveries that are failed in their latest generation, by cause: narrow, so that a group is counted and leafed
-- through without the log.
CREATE TABLE buslog.failures (
    message_id      uuid NOT NULL,
    subscription_id integer NOT NULL,
    generation      smallint NOT NULL,
    fingerprint     text NOT NULL COLLATE "C",
    PRIMARY KEY (message_id, subscription_id)
);
CREATE INDEX failures_group ON buslog.failures (fingerprint, message_id, subscription_id);

-- What has failed since the last fold.
CREATE TABLE buslog.failure_arrivals (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fingerprint     text NOT NULL,
    message_id      uuid NOT NULL,
    subscription_id integer NOT NULL,
    generation      smallint NOT NULL,
    at              timestamptz NOT NULL,
    error_type      text NOT NULL,
    pattern         text NOT NULL,
    place           text,
    name            text,
    key             text,
    release         text
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 200);

CREATE TYPE buslog.group_status AS ENUM ('open', 'acknowledged', 'resolved');

-- A cause, and its life. One that is not here yet, because it is not folded, is open.
CREATE TABLE buslog.failure_groups (
    fingerprint   text PRIMARY KEY COLLATE "C",
    error_type    text NOT NULL,
    pattern       text NOT NULL,                     -- the message without what differs from one failure to the next
    place         text,                              -- in the subscriber's own code: file in function
    names         text[] NOT NULL,                   -- of messages; at most fifty, as of subscriptions
    subscriptions integer[] NOT NULL,
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    total         bigint NOT NULL,                   -- failures ever, those that were replayed since among them
    keys          bigint NOT NULL DEFAULT 0,         -- different ones ever
    first_release text,
    last_release  text,
    sample_message      uuid NOT NULL,               -- the newest failure; its text stays with the delivery
    sample_subscription integer NOT NULL,
    sample_generation   smallint NOT NULL,
    status        buslog.group_status NOT NULL DEFAULT 'open',
    owner         text,
    note          text,
    resolved_at   timestamptz,
    reopened      integer NOT NULL DEFAULT 0,        -- how often it came back after it was resolved
    CHECK ((resolved_at IS NOT NULL) = (status = 'resolved'))
);

CREATE TABLE buslog.failure_keys (
    fingerprint text COLLATE "C",
    key         text,
    PRIMARY KEY (fingerprint, key)
);

-- How many failed in each hour. Of the last 35 days.
CREATE TABLE buslog.failure_trend (
    fingerprint text COLLATE "C",
    hour        timestamptz,
    failures    integer NOT NULL,
    PRIMARY KEY (fingerprint, hour)
) WITH (fillfactor = 80);
CREATE INDEX failure_trend_hour ON buslog.failure_trend (hour);

-- An error's message without what differs from one failure to the next: the key, what stands in quotes, and every word
-- with a digit in it, which is numbers, ids and times. A status or code is kept: 401 is another cause than 503.
CREATE FUNCTION buslog.error_pattern(error text, key text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(btrim(regexp_replace(regexp_replace(regexp_replace(
        regexp_replace(
            CASE WHEN length(key) > 2 THEN replace(left(error, 1000), key, '…') ELSE left(error, 1000) END,
            '"[^"]*"|`[^`]*`|“[^”]*”|«[^»]*»|(?<!\w)''[^'']*''', '…', 'g'),
        '(?<!\m(http|status|code)\W{1,3})\m[\w-]*\d[\w-]*', '…', 'gi'),
        '…([\s.,:;/+=_-]*…)+', '…', 'g'),
        '\s+', ' ', 'g')), 200)
$$;

-- The same for failures of one cause: type, place and pattern. Where no frame of the subscriber's own is known, the
-- subscription stands for the place.
CREATE FUNCTION buslog.fingerprint(error_type text, place text, pattern text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(md5(error_type || E'\x1f' || place || E'\x1f' || pattern), 16)
$$;

-- With every delivery that fails, in its own transaction.
CREATE FUNCTION buslog.failure_arrives() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    raised record;
    said record;
    cause record;
BEGIN
    SELECT a.code_version, regexp_replace(a.frame, ':\d+ in ', ' in ') AS place INTO raised FROM buslog.attempts a
        WHERE a.message_id = NEW.message_id AND a.subscription_id = NEW.subscription_id AND a.generation = NEW.generation
        ORDER BY a.attempt DESC LIMIT 1;
    SELECT m.name, m.key INTO said FROM buslog.messages m WHERE m.id = NEW.message_id;
    SELECT p.pattern, buslog.fingerprint(coalesce(NEW.error_type, ''), coalesce(raised.place, NEW.subscription_id::text), p.pattern)
               AS fingerprint
        INTO cause FROM (SELECT buslog.error_pattern(coalesce(NEW.error, ''), said.key) AS pattern) AS p;
    INSERT INTO buslog.failures (message_id, subscription_id, generation, fingerprint)
        VALUES (NEW.message_id, NEW.subscription_id, NEW.generation, cause.fingerprint)
        ON CONFLICT (message_id, subscription_id) DO UPDATE
            SET generation = excluded.generation, fingerprint = excluded.fingerprint;
    INSERT INTO buslog.failure_arrivals
        (fingerprint, message_id, subscription_id, generation, at, error_type, pattern, place, name, key, release)
        VALUES (cause.fingerprint, NEW.message_id, NEW.subscription_id, NEW.generation, NEW.finished_at,
                coalesce(NEW.error_type, ''), cause.pattern, raised.place, said.name, said.key, nullif(raised.code_version, ''));
    RETURN NULL;
END $$;
CREATE TRIGGER failure_arrives AFTER INSERT ON buslog.ended_deliveries
    FOR EACH ROW WHEN (NEW.state = 'failed' AND NEW.latest) EXECUTE FUNCTION buslog.failure_arrives();

-- A replay or a cancel takes it away.
CREATE FUNCTION buslog.failure_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM buslog.failures f WHERE f.message_id = OLD.message_id AND f.subscription_id = OLD.subscription_id;
    RETURN NULL;
END $$;
CREATE TRIGGER failure_leaves AFTER UPDATE OF latest ON buslog.ended_deliveries
    FOR EACH ROW WHEN (OLD.state = 'failed' AND OLD.latest AND NOT NEW.latest) EXECUTE FUNCTION buslog.failure_leaves();

-- Adds what has failed to the groups, at most `places` failures; returns whether there is more. A resolved group that
-- fails again is open again, and the audit says so. Processes take turns.
CREATE FUNCTION buslog.fold_failures(places integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    taken bigint[];
    back text[];
    oldest timestamptz := date_trunc('hour', clock_timestamp()) - interval '35 days';
BEGIN
    IF NOT EXISTS (SELECT FROM buslog.failure_arrivals) THEN
        RETURN false;                                -- a bus where nothing fails locks nothing
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('buslog.failure_groups'));
    taken := ARRAY(SELECT a.id FROM buslog.failure_arrivals a ORDER BY a.id LIMIT places);
    -- Before it is forgotten when they were resolved. A failure from before that, which comes late, is none that came back.
    back := ARRAY(SELECT DISTINCT g.fingerprint FROM buslog.failure_arrivals a JOIN buslog.failure_groups g USING (fingerprint)
                  WHERE a.id = ANY (taken) AND g.status = 'resolved' AND a.at > g.resolved_at);
    INSERT INTO buslog.failure_groups AS g
        (fingerprint, error_type, pattern, place, names, subscriptions, first_seen, last_seen, total, first_release,
         last_release, sample_message, sample_subscription, sample_generation)
    SELECT a.fingerprint, min(a.error_type), min(a.pattern), min(a.place),
           coalesce((array_agg(DISTINCT a.name) FILTER (WHERE a.name IS NOT NULL))[:50], '{}'),
           (array_agg(DISTINCT a.subscription_id))[:50],
           min(a.at), max(a.at), count(*), (array_agg(a.release ORDER BY a.at, a.id))[1],
           (array_agg(a.release ORDER BY a.at DESC, a.id DESC))[1],
           (array_agg(a.message_id ORDER BY a.at DESC, a.id DESC))[1],
           (array_agg(a.subscription_id ORDER BY a.at DESC, a.id DESC))[1],
           (array_agg(a.generation ORDER BY a.at DESC, a.id DESC))[1]
    FROM buslog.failure_arrivals a WHERE a.id = ANY (taken)
    GROUP BY a.fingerprint
    ON CONFLICT (fingerprint) DO UPDATE SET
        names = CASE WHEN g.names @> excluded.names THEN g.names
                     ELSE (ARRAY(SELECT DISTINCT unnest(g.names || excluded.names)))[:50] END,
        subscriptions = CASE WHEN g.subscriptions @> excluded.subscriptions THEN g.subscriptions
                             ELSE (ARRAY(SELECT DISTINCT unnest(g.subscriptions || excluded.subscriptions)))[:50] END,
        total = g.total + excluded.total,
        first_seen = least(g.first_seen, excluded.first_seen), last_seen = greatest(g.last_seen, excluded.last_seen),
        first_release = CASE WHEN excluded.first_seen < g.first_seen THEN excluded.first_release ELSE g.first_release END,
        last_release = CASE WHEN excluded.last_seen >= g.last_seen THEN excluded.last_release ELSE g.last_release END,
        sample_message = CASE WHEN excluded.last_seen >= g.last_seen THEN excluded.sample_message ELSE g.sample_message END,
        sample_subscription = CASE WHEN excluded.last_seen >= g.last_seen THEN excluded.sample_subscription
                                   ELSE g.sample_subscription END,
        sample_generation = CASE WHEN excluded.last_seen >= g.last_seen THEN excluded.sample_generation
                                 ELSE g.sample_generation END;
    WITH fresh AS (
        INSERT INTO buslog.failure_keys AS k (fingerprint, key)
        SELECT DISTINCT a.fingerprint, a.key FROM buslog.failure_arrivals a WHERE a.id = ANY (taken) AND a.key IS NOT NULL
        ON CONFLICT DO NOTHING RETURNING k.fingerprint
    )
    UPDATE buslog.failure_groups g SET keys = g.keys + f.keys
    FROM (SELECT fingerprint, count(*) AS keys FROM fresh GROUP BY fingerprint) AS f
    WHERE g.fingerprint = f.fingerprint;
    INSERT INTO buslog.failure_trend AS t (fingerprint, hour, failures)
        SELECT a.fingerprint, date_trunc('hour', a.at, 'UTC'), count(*) FROM buslog.failure_arrivals a
        WHERE a.id = ANY (taken) AND a.at >= oldest GROUP BY 1, 2
        ON CONFLICT (fingerprint, hour) DO UPDATE SET failures = t.failures + excluded.failures;
    DELETE FROM buslog.failure_trend WHERE hour < oldest;
    UPDATE buslog.failure_groups g SET status = 'open', resolved_at = NULL, reopened = g.reopened + 1
        WHERE g.fingerprint = ANY (back);
    INSERT INTO buslog.operations (actor, verb, reason, outcome)
        SELECT 'buslog', 'reopen', 'it came back', jsonb_build_object('group', b.fingerprint, 'from', 'resolved')
        FROM unnest(back) AS b (fingerprint);
    DELETE FROM buslog.failure_arrivals a WHERE a.id = ANY (taken);
    RETURN cardinality(taken) = places;
END $$;
