-- Stored runs: replay, run now or cancel of a whole set of deliveries, frozen when it was looked at. replays.py writes
-- previews, starts and stops; workers carry runs on, a step a transaction, so that a run outlives whoever started it.

ALTER TABLE buslog.subscriptions ADD COLUMN unsafe_to_replay text; -- why no bulk replay sends its deliveries again

CREATE TYPE buslog.replay_verb AS ENUM ('replay', 'run now', 'cancel');
CREATE TYPE buslog.replay_state AS ENUM ('previewed', 'waiting', 'canary', 'running', 'stopped', 'ended');
CREATE TYPE buslog.item_state AS ENUM ('waiting', 'sent', 'succeeded', 'failed again', 'cancelled', 'skipped');

CREATE TABLE buslog.replays (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verb         buslog.replay_verb NOT NULL,
    state        buslog.replay_state NOT NULL DEFAULT 'previewed',
    filter       text NOT NULL,                      -- the parameters of a URL, their times as moments
    failed_of    bigint,                             -- its set is what failed again in that run
    rest_of      bigint,                             -- its set is what that run did not send when it was stopped
    is_selected  boolean NOT NULL DEFAULT false,     -- its set was picked by hand, from a list of that filter
    again        integer NOT NULL DEFAULT 0,         -- so many of its set had succeeded: it wants a reason
    cutoff       uuid,                               -- the newest message when the set was frozen; null: there was none
    actor        text NOT NULL,
    reason       text,
    canary       integer NOT NULL DEFAULT 0,         -- so many first; the rest only if they succeed
    rate         double precision,                   -- sent in a second; null: as fast as they can be
    waiting      integer NOT NULL DEFAULT 0,         -- its items by state, kept with every step
    sent         integer NOT NULL DEFAULT 0,
    succeeded    integer NOT NULL DEFAULT 0,
    failed_again integer NOT NULL DEFAULT 0,
    cancelled    integer NOT NULL DEFAULT 0,
    skipped      integer NOT NULL DEFAULT 0,
    previewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at   timestamptz,                        -- by a person
    begins_at    timestamptz,                        -- when the time to undo it is over
    ended_at     timestamptz,                        -- stopped or ended: nothing more is sent
    stopped_why  text,
    paced_at     timestamptz,                        -- up to when the rate is used up
    reached      uuid,                               -- of the messages before it no item is waiting
    followed_at  timestamptz NOT NULL DEFAULT '-infinity', -- the last look at what became of the items
    progressed_at timestamptz,                       -- the last step that changed anything
    next_at      timestamptz                         -- of the next step; null: none is left to do
);
CREATE INDEX replays_next ON buslog.replays (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE buslog.replay_items (
    replay_id       bigint NOT NULL,                 -- no foreign key: to check it was half of freezing a set
    message_id      uuid NOT NULL,
    subscription_id integer NOT NULL,
    generation      smallint NOT NULL,               -- as frozen: another one is not touched
    was             buslog.state NOT NULL,           -- its delivery's, when it was frozen
    state           buslog.item_state NOT NULL DEFAULT 'waiting',
    is_canary       boolean NOT NULL DEFAULT false,
    superseded      boolean NOT NULL DEFAULT false,  -- a newer message of its name and key has succeeded
    reason          text,                            -- why it was skipped
    PRIMARY KEY (replay_id, message_id, subscription_id)
) WITH (fillfactor = 50);                            -- and no index on the state: its changes stay on their page
CREATE INDEX replay_items_canary ON buslog.replay_items (replay_id) WHERE is_canary;

-- A preview that is forgotten takes its items with it.
CREATE FUNCTION buslog.forget_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM buslog.replay_items i USING gone g WHERE i.replay_id = g.id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_items AFTER DELETE ON buslog.replays REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION buslog.forget_items();

-- ── preview ───────────────────────────────────────────────────────────────────
-- Of each subscription, why no run of a verb sends its deliveries; null where it may.
CREATE FUNCTION buslog.kept_back(verb buslog.replay_verb) RETURNS TABLE (subscription_id integer, reason text)
LANGUAGE sql STABLE AS $$
    SELECT s.id, CASE
        WHEN verb = 'replay' AND s.unsafe_to_replay IS NOT NULL THEN 'unsafe to replay: ' || s.unsafe_to_replay
        WHEN verb <> 'cancel' AND NOT EXISTS (
            SELECT FROM buslog.workers w WHERE s.id = ANY (w.hosts) AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()
        ) THEN 'no live worker hosts it' END
    FROM buslog.subscriptions s
$$;

-- Freezes a set; arrays run in parallel. What a person has to decide for singly, and what nobody would run, is skipped.
CREATE FUNCTION buslog.freeze(
    run bigint, messages uuid[], subscriptions integer[], generations smallint[], states text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO buslog.replay_items (replay_id, message_id, subscription_id, generation, was, state, reason)
    SELECT run, w.message_id, w.subscription_id, w.generation, w.state::buslog.state,
           CASE WHEN k.reason IS NULL THEN 'waiting' ELSE 'skipped' END::buslog.item_state, k.reason
    FROM unnest(messages, subscriptions, generations, states) AS w (message_id, subscription_id, generation, state)
    JOIN buslog.kept_back((SELECT r.verb FROM buslog.replays r WHERE r.id = run)) AS k USING (subscription_id);
    UPDATE buslog.replays r SET waiting = n.waiting, skipped = n.skipped, again = n.again
    FROM (SELECT count(*) FILTER (WHERE i.state = 'waiting') AS waiting, count(*) FILTER (WHERE i.state = 'skipped') AS skipped,
                 count(*) FILTER (WHERE i.state = 'waiting' AND i.was = 'succeeded') AS again
          FROM buslog.replay_items i WHERE i.replay_id = run) AS n
    WHERE r.id = run;
END $$;

-- Where the hints of a set look: from its oldest message up to the newest there is. With such bounds a plan leaves out the
-- partitions that hold nothing of it. To the millisecond: ids within one are in no order.
CREATE FUNCTION buslog.reach_of(oldest uuid, newest uuid, OUT first uuid, OUT cutoff uuid) LANGUAGE sql IMMUTABLE AS $$
    SELECT (left(oldest::text, 13) || '-7000-8000-000000000000')::uuid, (left(newest::text, 13) || '-7fff-bfff-ffffffffffff')::uuid
$$;

-- Marks what is superseded: a newer message of the same name and key has succeeded with the same subscription. Each key
-- is looked at once, from its newest message back to the first success. Returns how many.
CREATE FUNCTION buslog.mark_superseded(run bigint) RETURNS integer LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    reach record;
    marked integer;
BEGIN
    SELECT b.*, o.newest AS last INTO reach
        FROM (SELECT min(i.message_id::text)::uuid AS oldest, max(i.message_id::text)::uuid AS newest
              FROM buslog.replay_items i WHERE i.replay_id = run) AS o
        JOIN buslog.replays r ON r.id = run
        CROSS JOIN buslog.reach_of(o.oldest, greatest(r.cutoff, o.newest)) AS b;
    WITH item AS MATERIALIZED (
        SELECT i.ctid AS place, i.message_id, i.subscription_id, m.name, m.key
        FROM buslog.replay_items i
        CROSS JOIN LATERAL (SELECT x.name, x.key FROM buslog.messages x
                            WHERE x.id = i.message_id AND x.id BETWEEN reach.first AND reach.last OFFSET 0) AS m
        WHERE i.replay_id = run AND i.state = 'waiting' AND m.key IS NOT NULL
    ), newest AS MATERIALIZED (
        SELECT g.messages, g.places, n.id FROM (
            SELECT t.name, t.key, t.subscription_id, min(t.message_id::text)::uuid AS oldest,
                   array_agg(t.message_id) AS messages, array_agg(t.place) AS places FROM item t
            GROUP BY t.name, t.key, t.subscription_id ORDER BY t.key -- neighbours in the index, one after the other
        ) AS g
        CROSS JOIN LATERAL (
            SELECT x.id FROM buslog.messages x
            WHERE x.key = g.key AND x.name = g.name AND x.id > g.oldest AND x.id BETWEEN reach.first AND reach.cutoff
              AND EXISTS (SELECT FROM buslog.ended_deliveries e
                          WHERE e.message_id = x.id AND e.subscription_id = g.subscription_id AND e.latest
                            AND e.state = 'succeeded' AND e.message_id BETWEEN reach.first AND reach.cutoff OFFSET 0)
            ORDER BY x.id DESC LIMIT 1
        ) AS n
    )
    UPDATE buslog.replay_items i SET superseded = true
    FROM newest n, unnest(n.messages, n.places) AS w (message_id, place)
    WHERE w.message_id < n.id AND i.ctid = w.place;
    GET DIAGNOSTICS marked = ROW_COUNT;
    RETURN marked;
END $$;

-- What the messages of a set have caused until now, and what that caused: so many of each name. Only of what a replay of
-- the set sends; arrays run in parallel. Each thread is read once, from the oldest of its messages on.
CREATE FUNCTION buslog.caused_by(messages uuid[], subscriptions integer[])
RETURNS TABLE (name text, kind buslog.kind, messages_caused bigint) LANGUAGE plpgsql STABLE
SET jit = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    reach record;
BEGIN
    SELECT b.*, o.newest AS last INTO reach
        FROM (SELECT min(u.id::text)::uuid AS oldest, max(u.id::text)::uuid AS newest FROM unnest(messages) AS u (id)) AS o
        CROSS JOIN buslog.reach_of(o.oldest, (SELECT greatest(m.id, o.newest) FROM buslog.messages m ORDER BY m.id DESC LIMIT 1)) AS b;
    RETURN QUERY
    WITH RECURSIVE item AS MATERIALIZED (
        SELECT m.* FROM (
            SELECT DISTINCT w.message_id FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
            JOIN buslog.kept_back('replay') AS k USING (subscription_id) WHERE k.reason IS NULL
        ) AS i
        CROSS JOIN LATERAL (SELECT x.id, x.correlation_id FROM buslog.messages x
                            WHERE x.id = i.message_id AND x.id BETWEEN reach.first AND reach.last OFFSET 0) AS m
    ), thread AS MATERIALIZED (
        SELECT m.* FROM (
            -- to the millisecond: ids within one are in no order
            SELECT t.correlation_id, (left(min(t.id::text), 13) || '-7000-8000-000000000000')::uuid AS oldest FROM item t
            GROUP BY t.correlation_id
        ) AS c
        CROSS JOIN LATERAL (
            SELECT x.id, x.causation_id, x.name, x.kind FROM buslog.messages x
            WHERE x.correlation_id = c.correlation_id AND x.id >= c.oldest AND x.id BETWEEN reach.first AND reach.cutoff
              AND x.causation_id IS NOT NULL OFFSET 0
        ) AS m
    ), caused AS (
        SELECT t.id, t.name, t.kind FROM thread t JOIN item i ON i.id = t.causation_id
      UNION
        SELECT t.id, t.name, t.kind FROM thread t JOIN caused c ON c.id = t.causation_id
    )
    SELECT c.name, c.kind, count(*) FROM caused c GROUP BY c.name, c.kind ORDER BY count(*) DESC, c.name;
END $$;

-- ── carried on by workers ─────────────────────────────────────────────────────
-- Why an item is not sent, as its delivery is now; null when it may be.
CREATE FUNCTION buslog.why_not(
    verb buslog.replay_verb, frozen smallint, open buslog.state, ended buslog.state, generation smallint
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN generation = frozen AND CASE verb
            WHEN 'replay' THEN open IS NULL AND ended IS NOT NULL
            WHEN 'run now' THEN open IN ('scheduled', 'retrying')
            ELSE open IS NOT NULL OR ended = 'failed' END THEN NULL
        WHEN open IS NOT NULL THEN 'in flight'
        WHEN ended = 'succeeded' THEN 'already succeeded'
        WHEN ended = 'cancelled' THEN 'cancelled meanwhile'
        WHEN ended = 'failed' THEN 'failed meanwhile'
        ELSE 'gone' END
$$;

-- Items as their deliveries are now. OFFSET 0 keeps each look a look by its index, however large the run is.
CREATE FUNCTION buslog.look_at_items(verb buslog.replay_verb, messages uuid[], subscriptions integer[], generations smallint[])
RETURNS TABLE (message_id uuid, subscription_id integer, was buslog.state, why text) LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
    SELECT w.message_id, w.subscription_id, coalesce(d.state, e.state),
           buslog.why_not(verb, w.generation, d.state, e.state, coalesce(d.generation, e.generation))
    FROM unnest(messages, subscriptions, generations) AS w (message_id, subscription_id, generation)
    LEFT JOIN LATERAL (SELECT x.state, x.generation FROM buslog.deliveries x
                       WHERE x.message_id = w.message_id AND x.subscription_id = w.subscription_id OFFSET 0) AS d ON true
    LEFT JOIN LATERAL (SELECT x.state, x.generation FROM buslog.ended_deliveries x
                       WHERE x.message_id = w.message_id AND x.subscription_id = w.subscription_id AND x.latest
                       OFFSET 0) AS e ON true
$$;

-- Sends the next items of a run, at most `places`; each leaves an audit row. The caller holds the run's row.
CREATE FUNCTION buslog.send_items(
    r buslog.replays, places integer, as_canary boolean, OUT moved integer, OUT passed integer, OUT reached uuid
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    picked record;
    fit record;
    done record;
BEGIN
    moved := 0;
    passed := 0;
    reached := r.reached;
    SELECT array_agg(i.place) AS places, array_agg(i.message_id) AS messages, array_agg(i.subscription_id) AS subscriptions,
           array_agg(i.generation) AS generations INTO picked
    FROM (SELECT w.ctid AS place, w.* FROM buslog.replay_items w
          WHERE w.replay_id = r.id AND w.state = 'waiting'
            AND w.message_id >= coalesce(r.reached, '00000000-0000-0000-0000-000000000000')
          ORDER BY w.message_id, w.subscription_id LIMIT places) AS i;
    IF picked.messages IS NULL THEN
        RETURN;
    END IF;
    reached := picked.messages[cardinality(picked.messages)];
    -- Whoever else opens or ends a generation by hand holds these locks: what is seen now stays true until we have sent.
    PERFORM buslog.lock_chains(picked.messages);
    IF r.verb = 'replay' THEN                        -- what is the latest generation still is neither open nor gone
        SELECT array_agg(t.message_id) AS messages, array_agg(t.subscription_id) AS subscriptions, array_agg(t.was) AS states
            INTO done FROM buslog.replay(picked.messages, picked.subscriptions, picked.generations) AS t;
    ELSE
        SELECT array_agg(l.message_id) AS messages, array_agg(l.subscription_id) AS subscriptions, array_agg(l.was) AS states
            INTO fit FROM buslog.look_at_items(r.verb, picked.messages, picked.subscriptions, picked.generations) AS l
            WHERE l.why IS NULL;
        IF r.verb = 'run now' THEN
            SELECT array_agg(t.message_id) AS messages, array_agg(t.subscription_id) AS subscriptions, array_agg(f.was) AS states
                INTO done FROM buslog.run_now(fit.messages, fit.subscriptions) AS t
                JOIN unnest(fit.messages, fit.subscriptions, fit.states) AS f (message_id, subscription_id, was)
                    USING (message_id, subscription_id);
        ELSE
            SELECT array_agg(t.message_id) AS messages, array_agg(t.subscription_id) AS subscriptions, array_agg(f.was) AS states
                INTO done FROM buslog.cancel(fit.messages, fit.subscriptions) AS t
                JOIN unnest(fit.messages, fit.subscriptions, fit.states) AS f (message_id, subscription_id, was)
                    USING (message_id, subscription_id);
            PERFORM pg_notify('buslog_cancelled', '');
        END IF;
    END IF;
    UPDATE buslog.replay_items i SET is_canary = as_canary,
           state = CASE r.verb WHEN 'cancel' THEN 'cancelled' ELSE 'sent' END::buslog.item_state
    FROM unnest(picked.places, picked.messages, picked.subscriptions) AS p (place, message_id, subscription_id)
    JOIN unnest(done.messages, done.subscriptions) AS t (message_id, subscription_id) USING (message_id, subscription_id)
    WHERE i.ctid = p.place;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved < cardinality(picked.messages) THEN     -- no reason: settled, or due, between our look and our move
        UPDATE buslog.replay_items i SET state = 'skipped', reason = coalesce(l.why, 'in flight')
        FROM unnest(picked.places, picked.messages, picked.subscriptions) AS p (place, message_id, subscription_id)
        JOIN buslog.look_at_items(r.verb, picked.messages, picked.subscriptions, picked.generations) AS l
            USING (message_id, subscription_id)
        WHERE i.ctid = p.place AND i.state = 'waiting';
        GET DIAGNOSTICS passed = ROW_COUNT;
    END IF;
    INSERT INTO buslog.operations (actor, verb, message_id, subscription, reason, outcome)
    SELECT r.actor, r.verb, t.message_id, s.subscription, r.reason, jsonb_build_object('from', t.was, 'run', r.id)
    FROM unnest(done.messages, done.subscriptions, done.states) AS t (message_id, subscription_id, was)
    JOIN buslog.subscriptions s ON s.id = t.subscription_id;
END $$;

-- What has become of the items that were sent.
CREATE FUNCTION buslog.follow_items(r buslog.replays, OUT succeeded integer, OUT failed integer, OUT cancelled integer)
LANGUAGE sql
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
    WITH settled AS MATERIALIZED (
        SELECT i.ctid AS place, e.state FROM buslog.replay_items i
        CROSS JOIN LATERAL (
            SELECT x.state FROM buslog.ended_deliveries x
            WHERE x.message_id = i.message_id AND x.subscription_id = i.subscription_id
              AND x.generation = i.generation + CASE r.verb WHEN 'replay' THEN 1 ELSE 0 END OFFSET 0
        ) AS e
        WHERE i.replay_id = r.id AND i.state = 'sent'
    ), told AS (
        UPDATE buslog.replay_items i
        SET state = CASE s.state WHEN 'failed' THEN 'failed again' ELSE s.state::text END::buslog.item_state
        FROM settled s WHERE i.ctid = s.place
        RETURNING i.state
    )
    SELECT count(*) FILTER (WHERE state = 'succeeded'), count(*) FILTER (WHERE state = 'failed again'),
           count(*) FILTER (WHERE state = 'cancelled')
    FROM told
$$;

-- One step of the run whose turn it is, at most `places` items; another worker's run is left to it. `run`: null when
-- none is due. next_in: seconds until the next step of any; null when nothing is left to do.
CREATE FUNCTION buslog.carry_on(places integer, OUT run bigint, OUT moved integer, OUT next_in double precision)
LANGUAGE plpgsql AS $$
DECLARE
    r buslog.replays;
    before buslog.replays;
    step record;
    canary record;
    budget integer;
BEGIN
    moved := 0;
    SELECT * INTO r FROM buslog.replays p WHERE p.next_at <= clock_timestamp()
        ORDER BY p.next_at LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        run := r.id;
        before := r;
        IF r.state = 'waiting' THEN
            r.state := CASE WHEN r.canary > 0 THEN 'canary' ELSE 'running' END;
            r.paced_at := clock_timestamp();
            r.followed_at := clock_timestamp();
        END IF;

        IF r.sent > 0 AND (r.state <> 'running' OR r.waiting = 0 OR r.followed_at < clock_timestamp() - interval '0.5 s') THEN
            step := buslog.follow_items(r);
            r.followed_at := clock_timestamp();
            r.sent := r.sent - step.succeeded - step.failed - step.cancelled;
            r.succeeded := r.succeeded + step.succeeded;
            r.failed_again := r.failed_again + step.failed;
            r.cancelled := r.cancelled + step.cancelled;
        END IF;

        IF r.state = 'canary' THEN
            SELECT count(*) FILTER (WHERE i.state = 'succeeded') AS succeeded,
                   count(*) FILTER (WHERE i.state IN ('failed again', 'cancelled')) AS unwell
                INTO canary FROM buslog.replay_items i WHERE i.replay_id = r.id AND i.is_canary;
            IF canary.unwell > 0 THEN
                r.state := 'stopped';
                r.stopped_why := format('not all of the first %s succeeded', r.canary);
            ELSIF canary.succeeded >= r.canary OR (r.waiting = 0 AND r.sent = 0) THEN
                r.state := 'running';
            ELSIF r.sent = 0 THEN                    -- again, when some were skipped
                step := buslog.send_items(r, (r.canary - canary.succeeded)::integer, true);
                moved := step.moved;
                r.reached := step.reached;
                r.waiting := r.waiting - step.moved - step.passed;
                r.sent := r.sent + step.moved;
            END IF;
        END IF;

        -- What a step of a replay sends runs only once a claim of it is on disk, and the step before it is then as well:
        -- the next step does not wait for that. A cancel has nothing after it, and waits.
        IF r.verb = 'replay' THEN
            PERFORM set_config('synchronous_commit', 'off', true);
        END IF;
        IF r.state = 'running' AND r.waiting > 0 THEN
            -- Of what the rate allowed while nobody sent, a second's worth is made up for.
            r.paced_at := greatest(r.paced_at, clock_timestamp() - make_interval(secs => greatest(1, 1 / r.rate)));
            budget := coalesce(floor(round((r.rate * extract(epoch FROM clock_timestamp() - r.paced_at))::numeric, 3)), places);
            IF budget > 0 THEN
                step := buslog.send_items(r, least(budget, places), false);
                moved := step.moved;
                r.reached := step.reached;
                r.waiting := r.waiting - step.moved - step.passed;
                IF r.verb = 'cancel' THEN
                    r.cancelled := r.cancelled + step.moved;
                ELSE
                    r.sent := r.sent + step.moved;
                END IF;
                r.paced_at := r.paced_at + make_interval(secs => coalesce(step.moved / r.rate, 0));
            END IF;
        END IF;
        IF r.state = 'running' AND r.waiting = 0 AND r.sent = 0 THEN
            r.state := 'ended';
        END IF;

        r.skipped := r.skipped + (before.waiting + before.sent + before.succeeded + before.failed_again + before.cancelled)
                               - (r.waiting + r.sent + r.succeeded + r.failed_again + r.cancelled);
        IF r.state IN ('stopped', 'ended') THEN
            r.ended_at := coalesce(r.ended_at, clock_timestamp());
        END IF;
        IF (r.state, r.waiting, r.sent) IS DISTINCT FROM (before.state, before.waiting, before.sent) THEN
            r.progressed_at := clock_timestamp();
        END IF;
        r.next_at := CASE
            WHEN r.sent = 0 AND r.state IN ('stopped', 'ended') THEN NULL
            WHEN r.state = 'running' AND r.waiting > 0 AND r.rate IS NOT NULL
                THEN greatest(clock_timestamp(), r.paced_at + make_interval(secs => greatest(0.05, 1 / r.rate)))
            WHEN (r.state = 'running' AND r.waiting > 0) OR (r.state = 'canary' AND r.sent = 0) THEN clock_timestamp()
            -- What takes long is looked at less often: retries may go on for hours.
            ELSE clock_timestamp() + least(interval '30 s', greatest(
                CASE r.state WHEN 'canary' THEN interval '0.1 s' ELSE interval '0.5 s' END,
                (clock_timestamp() - r.progressed_at) / 10)) END;
        UPDATE buslog.replays p SET
            state = r.state, stopped_why = r.stopped_why, waiting = r.waiting, sent = r.sent, succeeded = r.succeeded,
            failed_again = r.failed_again, cancelled = r.cancelled, skipped = r.skipped, paced_at = r.paced_at, reached = r.reached,
            followed_at = r.followed_at, progressed_at = r.progressed_at, ended_at = r.ended_at, next_at = r.next_at
            WHERE p.id = r.id;
    END IF;
    SELECT greatest(0, extract(epoch FROM p.next_at - clock_timestamp())) INTO next_in
        FROM buslog.replays p WHERE p.next_at IS NOT NULL ORDER BY p.next_at LIMIT 1;
END $$;
