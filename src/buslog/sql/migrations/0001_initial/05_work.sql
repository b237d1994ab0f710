-- register, claim, settle, rescue: what workers do. Called from store.py only.

-- Records a subscription and the names that reach it; returns its number. A name is either a command with one
-- subscription, or an event with any number. Registrations take turns, so that two programs cannot both be first.
-- options: the columns of buslog.subscriptions that the subscriber's author chose, as an object.
CREATE FUNCTION buslog.register(
    subscription text, names text[], kind buslog.kind, options jsonb, payload_schema json, description text, code_version text
) RETURNS integer LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    taken record;
    chosen buslog.subscriptions;
    old buslog.subscriptions;
    number integer;
    freed uuid[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('buslog.register'));
    SELECT r.name, s.subscription INTO taken
        FROM buslog.routes r JOIN buslog.subscriptions s ON s.id = r.subscription_id
        WHERE r.name = ANY (names) AND s.active AND s.subscription <> subscription
          AND (kind = 'command' OR s.kind = 'command')
        LIMIT 1;
    IF FOUND THEN
        PERFORM buslog.refuse('subscription', 'is the only one of a command', taken.name || ' has ' || taken.subscription,
            'one', 'Remove one of them, or retire the old one with `off`.');
    END IF;
    SELECT * INTO old FROM buslog.subscriptions s WHERE s.subscription = subscription;
    chosen := jsonb_populate_record(NULL::buslog.subscriptions, options);
    -- Locks in the order in which settle takes them: chains, order, flow. No place is given, and no chain held, by a
    -- policy that is about to change.
    IF chosen.skips_failed AND NOT old.skips_failed THEN
        SELECT array_agg(w.message_id) INTO freed FROM (
            SELECT DISTINCT b.message_id FROM buslog.deliveries b
            WHERE b.state = 'blocked' AND b.chain IS NOT NULL
              AND EXISTS (SELECT FROM buslog.ended_deliveries e
                          WHERE e.message_id = b.message_id AND e.subscription_id = old.id AND e.state = 'failed' AND e.latest)
        ) AS w;
        PERFORM buslog.lock_chains(freed);
    END IF;
    PERFORM buslog.lock_orders(ARRAY[old.id]);
    INSERT INTO buslog.subscriptions (subscription, kind) VALUES (subscription, kind)
        ON CONFLICT ON CONSTRAINT subscriptions_subscription_key DO NOTHING;
    UPDATE buslog.subscriptions s SET
        kind = kind, mode = coalesce(chosen.mode, 'async'), chain_order = coalesce(chosen.chain_order, 0),
        position = coalesce(chosen.position, 0), policy = coalesce(chosen.policy, '{}'),
        ordered_by_key = coalesce(chosen.ordered_by_key, false), skips_failed = coalesce(chosen.skips_failed, false),
        priority = coalesce(chosen.priority, 0), concurrency = chosen.concurrency,
        rate_count = chosen.rate_count, rate_per = chosen.rate_per,
        outage_after = chosen.outage_after, outage_probe = chosen.outage_probe, unsafe_to_replay = chosen.unsafe_to_replay,
        payload_schema = payload_schema, description = description, code_version = code_version, active = true
        WHERE s.subscription = subscription RETURNING s.id INTO number;
    DELETE FROM buslog.routes r WHERE r.subscription_id = number AND r.name <> ALL (names);
    INSERT INTO buslog.routes (name, subscription_id) SELECT unnest(names), number ON CONFLICT DO NOTHING;
    INSERT INTO buslog.names AS n (name, kind, first_seen)
        SELECT u.name, kind, clock_timestamp() FROM unnest(names) AS u (name)
        WHERE strpos(u.name, '*') = 0                -- nor one that is known: an open transaction may hold its row
          AND NOT EXISTS (SELECT FROM buslog.names n WHERE n.name = u.name AND n.kind = kind)
        ORDER BY u.name                              -- as an emit of the same new names takes them
        ON CONFLICT (name) DO UPDATE SET kind = EXCLUDED.kind WHERE n.kind <> EXCLUDED.kind;
    IF coalesce(chosen.concurrency, chosen.rate_count, chosen.outage_after) IS NULL THEN
        DELETE FROM buslog.flow f WHERE f.subscription_id = number;
    ELSE
        INSERT INTO buslog.flow (subscription_id) VALUES (number) ON CONFLICT DO NOTHING;
        IF chosen.outage_after IS NULL THEN
            UPDATE buslog.flow f SET errors_in_row = 0, opened_at = NULL, probe_at = NULL WHERE f.subscription_id = number;
        END IF;
    END IF;
    -- What waits behind a failure that no longer holds it: a key's arrives anew, a chain's has its turn.
    IF chosen.skips_failed AND NOT old.skips_failed THEN
        UPDATE buslog.deliveries d SET sequenced = false
            WHERE d.subscription_id = number AND d.state = 'blocked' AND d.order_key IS NOT NULL AND d.sequenced;
        PERFORM buslog.promote_chains(freed);
    END IF;
    RETURN number;
END $$;

-- Takes names away from a subscription: new messages of them do not reach it. What it has already been sent stays.
CREATE FUNCTION buslog.unregister(subscription text, names text[]) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_variable
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('buslog.register'));
    DELETE FROM buslog.routes r USING buslog.subscriptions s
        WHERE s.id = r.subscription_id AND s.subscription = subscription AND r.name = ANY (names);
    UPDATE buslog.subscriptions s SET active = false
        WHERE s.subscription = subscription AND NOT EXISTS (SELECT FROM buslog.routes r WHERE r.subscription_id = s.id);
END $$;

-- ── order by key ──────────────────────────────────────────────────────────────
-- A delivery of a subscription that is ordered by key is born blocked, in no place yet: an emit cannot see what others
-- are emitting and settling. The sequencer, in the claim pass of any worker, gives places to those that have arrived;
-- settle, cancel and replay open the next of a key. All of them hold the subscription's order lock, taken in a statement
-- of its own, so that the next statement sees what the lock's last holder did. One delivery of a key is open (pending,
-- running, retrying) at a time; a failed one holds its key, unless the subscription skips what has failed.
CREATE FUNCTION buslog.lock_orders(subscriptions integer[]) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(20112, id)
    FROM (SELECT DISTINCT unnest(subscriptions) AS id ORDER BY id) AS sorted
$$;

-- The first delivery in the queue of each key becomes pending, unless one of its key is open, or an earlier one has
-- failed. Arrays run in parallel.
-- OFFSET 0 keeps each look a look by its index, one after the other: a join would walk the whole table, where it was
-- analysed while it was empty.
CREATE FUNCTION buslog.promote_keys(subscriptions integer[], keys text[]) RETURNS void LANGUAGE sql
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
    UPDATE buslog.deliveries d SET state = 'pending', ready_seq = nextval('buslog.ready_seq')
    WHERE d.state = 'blocked' AND d.ctid = ANY (ARRAY(
        SELECT head.place
        FROM (SELECT DISTINCT k.subscription_id, k.order_key
              FROM unnest(subscriptions, keys) AS k (subscription_id, order_key)) AS k
        JOIN buslog.subscriptions s ON s.id = k.subscription_id
        CROSS JOIN LATERAL (
            SELECT q.ctid AS place, q.message_id FROM buslog.deliveries q
            WHERE q.subscription_id = k.subscription_id AND q.order_key = k.order_key AND q.state = 'blocked' AND q.sequenced
            ORDER BY q.message_id LIMIT 1
        ) AS head
        WHERE NOT EXISTS (SELECT FROM buslog.deliveries o
                          WHERE o.subscription_id = k.subscription_id AND o.order_key = k.order_key
                            AND o.state IN ('pending', 'running', 'retrying') OFFSET 0)
          AND (s.skips_failed OR NOT EXISTS (
              SELECT FROM buslog.ended_deliveries e
              WHERE e.subscription_id = k.subscription_id AND e.order_key = k.order_key AND e.state = 'failed' AND e.latest
                AND e.message_id < head.message_id OFFSET 0))))
$$;

-- Gives places to what has arrived for one subscription. Another worker that is at it does it for us.
CREATE FUNCTION buslog.sequence_arrivals(subscription integer) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
    arrived text[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(20112, subscription) THEN
        RETURN;
    END IF;
    WITH placed AS (
        UPDATE buslog.deliveries d SET sequenced = true
        WHERE d.subscription_id = subscription AND d.message_id = ANY (ARRAY(
            SELECT a.message_id FROM buslog.deliveries a
            WHERE a.subscription_id = subscription AND a.state = 'blocked' AND a.order_key IS NOT NULL AND NOT a.sequenced
            ORDER BY a.message_id LIMIT 1000))
          AND d.state = 'blocked' AND NOT d.sequenced
        RETURNING d.order_key
    ) SELECT array_agg(DISTINCT p.order_key) INTO arrived FROM placed p;
    IF arrived IS NOT NULL THEN
        PERFORM buslog.promote_keys(array_fill(subscription, ARRAY[cardinality(arrived)]), arrived);
    END IF;
END $$;

-- ── limits ────────────────────────────────────────────────────────────────────
-- How many deliveries of each host may start now, `places` where nothing limits it; `limited`: those that have a limit.
-- Locks the limited ones' flow, in a statement of its own, so that what runs is counted after the last claim.
CREATE FUNCTION buslog.caps(hosts integer[], places integer, OUT caps integer[], OUT limited integer[])
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM buslog.flow f WHERE f.subscription_id = ANY (hosts) ORDER BY f.subscription_id FOR UPDATE;
    SELECT array_agg(coalesce(l.cap, places) ORDER BY h.ordinal),
           coalesce(array_agg(h.subscription_id) FILTER (WHERE l.cap IS NOT NULL), '{}')
        INTO caps, limited
    FROM unnest(hosts) WITH ORDINALITY AS h (subscription_id, ordinal)
    LEFT JOIN LATERAL (
        SELECT greatest(0, least(
            CASE WHEN f.opened_at IS NULL THEN places
                 WHEN f.probe_at <= clock_timestamp() AND r.running = 0 THEN 1 ELSE 0 END,
            s.concurrency - r.running,
            floor(buslog.tokens(f, s))::integer)) AS cap
        FROM buslog.flow f
        JOIN buslog.subscriptions s ON s.id = f.subscription_id
        CROSS JOIN LATERAL (SELECT count(*)::integer AS running FROM buslog.deliveries d
                            WHERE d.subscription_id = f.subscription_id AND d.state = 'running' AND d.limited) AS r
        WHERE f.subscription_id = h.subscription_id
    ) AS l ON true;
END $$;

-- Starts that a subscription's rate allows now; null without a rate.
CREATE FUNCTION buslog.tokens(f buslog.flow, s buslog.subscriptions) RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN s.rate_count IS NULL THEN NULL WHEN f.refilled_at = '-infinity' THEN s.rate_count ELSE least(
        s.rate_count,
        f.tokens + s.rate_count / s.rate_per * greatest(0, extract(epoch FROM clock_timestamp() - f.refilled_at)))
    END::double precision
$$;

-- ── claim ─────────────────────────────────────────────────────────────────────
-- Takes ready deliveries of the given subscriptions, at most `places` of them, and counts the attempt.
-- Each subscription is looked at by itself, in the order given (by priority, and shuffled), so that a busy one does not
-- hide the others. floors: by subscription, or null, a ready_seq up to which this worker knows that nothing is ready; it skips the
-- dead entries of the index that a long transaction elsewhere keeps from being removed.
-- Payloads leave as text: a row that will not decode must fail alone.
CREATE FUNCTION buslog.claim(by_worker bigint, hosts integer[], floors bigint[], places integer)
RETURNS TABLE (
    message_id uuid, subscription_id integer, ready_seq bigint, generation smallint, attempt integer, charged smallint,
    repeats smallint, kind buslog.kind, name text, key text, payload text, emitted_at timestamptz,
    correlation_id uuid, causation_id uuid, traceparent text
) LANGUAGE plpgsql
-- When autovacuum finds the hot table empty, a custom plan would walk the dead entries of the primary key.
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    state record;
    arrived integer;
    caps integer[];
    bounded integer[] := '{}';                       -- those that have a limit
    moment timestamptz := clock_timestamp();         -- of this claim: no other of this worker's has it
BEGIN
    SELECT EXISTS (SELECT FROM buslog.workers w
                   WHERE w.id = by_worker AND w.retired_at IS NULL AND w.lease_until > moment) AS leased,
           EXISTS (SELECT FROM buslog.flow f WHERE f.subscription_id = ANY (hosts)) AS has_limits,
           ARRAY(SELECT h.id FROM unnest(hosts) AS h (id)
                 WHERE EXISTS (SELECT FROM buslog.deliveries a
                               WHERE a.subscription_id = h.id AND a.state = 'blocked' AND a.order_key IS NOT NULL
                                 AND NOT a.sequenced)) AS arrived
        INTO state;
    -- A worker whose lease has lapsed would claim what the next rescue takes away from it.
    IF NOT state.leased THEN
        RETURN;
    END IF;
    FOREACH arrived IN ARRAY state.arrived LOOP
        PERFORM buslog.sequence_arrivals(arrived);
    END LOOP;
    IF state.has_limits THEN
        SELECT a.caps, a.limited INTO caps, bounded FROM buslog.caps(hosts, places) AS a;
    END IF;
    RETURN QUERY
    WITH ready AS MATERIALIZED (
        SELECT d.ctid FROM unnest(hosts, floors, caps) AS h (subscription_id, floor, cap)
        JOIN buslog.subscriptions s ON s.id = h.subscription_id AND s.paused_at IS NULL
        CROSS JOIN LATERAL (
            SELECT q.ctid FROM buslog.deliveries q
            WHERE q.subscription_id = h.subscription_id AND q.state = 'pending' AND NOT q.alone AND q.ready_seq > coalesce(h.floor, 0)
            ORDER BY q.ready_seq LIMIT least(places, h.cap)
            FOR UPDATE SKIP LOCKED
        ) AS d
        LIMIT places
    ), claimed AS (
        UPDATE buslog.deliveries AS d
        SET state = 'running', worker_id = by_worker, attempt = d.attempt + 1, started_at = moment,
            limited = d.subscription_id = ANY (bounded)
        WHERE d.ctid = ANY (ARRAY(SELECT ctid FROM ready)) AND d.state = 'pending'
        RETURNING d.message_id, d.subscription_id, d.ready_seq, d.generation, d.attempt,
                  (d.attempt - d.uncharged)::smallint AS charged, d.repeats
    )
    SELECT c.message_id, c.subscription_id, c.ready_seq, c.generation, c.attempt, c.charged, c.repeats,
           m.kind, m.name, m.key, m.payload::text, m.emitted_at, m.correlation_id, m.causation_id, m.traceparent
    FROM claimed c JOIN buslog.messages m ON m.id = c.message_id;
    -- A statement of its own: most claims have no limits, and pay nothing for it.
    IF bounded <> '{}' THEN
        UPDATE buslog.flow f
        SET tokens = coalesce(buslog.tokens(f, s) - c.count, f.tokens), refilled_at = clock_timestamp(),
            probe_at = CASE WHEN f.opened_at IS NOT NULL THEN clock_timestamp() + make_interval(secs => s.outage_probe) END
        FROM (SELECT d.subscription_id, count(*) AS count FROM buslog.deliveries d
              WHERE d.subscription_id = ANY (bounded) AND d.state = 'running' AND d.limited
                AND d.worker_id = by_worker AND d.started_at = moment
              GROUP BY d.subscription_id) AS c
        JOIN buslog.subscriptions s ON s.id = c.subscription_id
        WHERE f.subscription_id = c.subscription_id;
    END IF;
END $$;

-- Takes one delivery that is to run alone, if there is one: called by a worker that is ready to run nothing beside it.
CREATE FUNCTION buslog.claim_alone(by_worker bigint, hosts integer[])
RETURNS TABLE (
    message_id uuid, subscription_id integer, ready_seq bigint, generation smallint, attempt integer, charged smallint,
    repeats smallint, kind buslog.kind, name text, key text, payload text, emitted_at timestamptz,
    correlation_id uuid, causation_id uuid, traceparent text
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    allowed record;
BEGIN
    IF NOT EXISTS (SELECT FROM buslog.deliveries d WHERE d.state = 'pending' AND d.alone AND d.subscription_id = ANY (hosts))
       OR NOT EXISTS (SELECT FROM buslog.workers w
                      WHERE w.id = by_worker AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()) THEN
        RETURN;
    END IF;
    SELECT * INTO allowed FROM buslog.caps(hosts, 1);
    RETURN QUERY
    WITH ready AS MATERIALIZED (
        SELECT d.ctid FROM buslog.deliveries d
        JOIN unnest(hosts, allowed.caps) AS h (subscription_id, cap) ON h.subscription_id = d.subscription_id AND h.cap > 0
        JOIN buslog.subscriptions s ON s.id = d.subscription_id AND s.paused_at IS NULL
        WHERE d.state = 'pending' AND d.alone
        ORDER BY d.ready_seq LIMIT 1 FOR UPDATE OF d SKIP LOCKED
    ), claimed AS (
        UPDATE buslog.deliveries AS d
        SET state = 'running', worker_id = by_worker, attempt = d.attempt + 1, started_at = clock_timestamp(),
            limited = d.subscription_id = ANY (allowed.limited)
        WHERE d.ctid = ANY (ARRAY(SELECT ctid FROM ready)) AND d.state = 'pending'
        RETURNING d.message_id, d.subscription_id, d.ready_seq, d.generation, d.attempt,
                  (d.attempt - d.uncharged)::smallint AS charged, d.repeats
    ), spent AS (
        UPDATE buslog.flow f
        SET tokens = coalesce(buslog.tokens(f, s) - 1, f.tokens), refilled_at = clock_timestamp(),
            probe_at = CASE WHEN f.opened_at IS NOT NULL THEN clock_timestamp() + make_interval(secs => s.outage_probe) END
        FROM claimed c JOIN buslog.subscriptions s ON s.id = c.subscription_id
        WHERE f.subscription_id = c.subscription_id
    )
    SELECT c.message_id, c.subscription_id, c.ready_seq, c.generation, c.attempt, c.charged, c.repeats,
           m.kind, m.name, m.key, m.payload::text, m.emitted_at, m.correlation_id, m.causation_id, m.traceparent
    FROM claimed c JOIN buslog.messages m ON m.id = c.message_id;
END $$;

-- What is running under a worker, as claim returns it: a claim or an emit whose answer was lost on the way left
-- deliveries leased to a worker that does not know of them.
CREATE FUNCTION buslog.held(worker bigint)
RETURNS TABLE (
    message_id uuid, subscription_id integer, ready_seq bigint, generation smallint, attempt integer, charged smallint,
    repeats smallint, kind buslog.kind, name text, key text, payload text, emitted_at timestamptz,
    correlation_id uuid, causation_id uuid, traceparent text
) LANGUAGE sql AS $$
    SELECT d.message_id, d.subscription_id, d.ready_seq, d.generation, d.attempt, (d.attempt - d.uncharged)::smallint,
           d.repeats,
           m.kind, m.name, m.key, m.payload::text, m.emitted_at, m.correlation_id, m.causation_id, m.traceparent
    FROM buslog.deliveries d JOIN buslog.messages m ON m.id = d.message_id
    WHERE d.state = 'running' AND d.worker_id = worker
$$;

-- What a delivery becomes when it is due: one of an ordered subscription that was scheduled has to find its place yet.
CREATE FUNCTION buslog.state_when_due(d buslog.deliveries) RETURNS buslog.state LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN d.state = 'scheduled' AND d.order_key IS NOT NULL THEN 'blocked' ELSE 'pending' END::buslog.state
$$;

-- Retrying and scheduled deliveries whose time has come become pending. Returns how many, and in how many
-- seconds the next one is due (null: none waits).
CREATE FUNCTION buslog.promote_due(places integer, OUT promoted integer, OUT next_in double precision)
LANGUAGE plpgsql AS $$
BEGIN
    WITH due AS (
        SELECT d.ctid FROM buslog.deliveries d
        WHERE d.state IN ('scheduled', 'retrying') AND d.due_at <= clock_timestamp()
        ORDER BY d.due_at LIMIT places FOR UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE buslog.deliveries d
        SET state = buslog.state_when_due(d), due_at = NULL,
            ready_seq = CASE WHEN buslog.state_when_due(d) = 'pending' THEN nextval('buslog.ready_seq') END
        WHERE d.ctid = ANY (ARRAY(SELECT ctid FROM due)) AND d.state IN ('scheduled', 'retrying')
        RETURNING 1
    ) SELECT count(*) INTO promoted FROM moved;
    SELECT greatest(extract(epoch FROM d.due_at - clock_timestamp()), 0) INTO next_in
        FROM buslog.deliveries d WHERE d.state IN ('scheduled', 'retrying') ORDER BY d.due_at LIMIT 1;
END $$;

-- Serial chains. One delivery of a message's chain is open (pending, running, retrying) at a time.
-- Whoever ends or opens one holds the message's chain lock, taken in a statement of its own and in one order, so that the
-- next statement sees what the lock's last holder did. Messages share 1,024 locks: one each, and an operation on thousands
-- of them would find the server's lock table full.
CREATE FUNCTION buslog.lock_chains(messages uuid[]) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(20111, share)
    FROM (SELECT DISTINCT hashtext(id::text) & 1023 AS share FROM unnest(messages) AS id ORDER BY share) AS sorted
$$;

-- The first blocked delivery of each chain becomes pending, unless one of it is open, or one before it has failed and
-- does not let itself be skipped.
CREATE FUNCTION buslog.promote_chains(messages uuid[]) RETURNS void LANGUAGE sql
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
    UPDATE buslog.deliveries d SET state = 'pending', ready_seq = nextval('buslog.ready_seq')
    WHERE d.state = 'blocked' AND d.ctid = ANY (ARRAY(
        SELECT head.place
        FROM (SELECT DISTINCT unnest(messages) AS id) AS m
        CROSS JOIN LATERAL (
            SELECT b.ctid AS place, b.chain FROM buslog.deliveries b
            WHERE b.message_id = m.id AND b.state = 'blocked' AND b.chain IS NOT NULL
            ORDER BY b.chain LIMIT 1
        ) AS head
        WHERE NOT EXISTS (SELECT FROM buslog.deliveries o
                          WHERE o.message_id = m.id AND o.chain IS NOT NULL AND o.state <> 'blocked' OFFSET 0)
          AND NOT EXISTS (SELECT FROM buslog.ended_deliveries e JOIN buslog.subscriptions s ON s.id = e.subscription_id
                          WHERE e.message_id = m.id AND e.chain < head.chain AND e.latest AND e.state = 'failed'
                            AND NOT s.skips_failed OFFSET 0)))
$$;

-- ── settle ────────────────────────────────────────────────────────────────────
-- What outcomes say about the circuits of their subscriptions; returns the subscriptions whose circuit is open now.
-- `outages[i]`: outcome i is an error that means that the other side is down.
CREATE FUNCTION buslog.judge_circuits(subscriptions integer[], states buslog.state[], outages boolean[]) RETURNS integer[]
LANGUAGE plpgsql AS $$
DECLARE
    opened integer[];
BEGIN
    PERFORM FROM buslog.flow f WHERE f.subscription_id = ANY (subscriptions) ORDER BY f.subscription_id FOR UPDATE;
    WITH heard AS (
        SELECT o.subscription_id, bool_or(o.state IS NULL OR o.state = 'succeeded') AS answered,
               count(*) FILTER (WHERE o.outage AND o.ordinal > o.last_success) AS errors
        FROM (SELECT u.*, coalesce(max(u.ordinal) FILTER (WHERE u.state IS NULL OR u.state = 'succeeded')
                                   OVER (PARTITION BY u.subscription_id), 0) AS last_success
              FROM unnest(subscriptions, states, outages) WITH ORDINALITY AS u (subscription_id, state, outage, ordinal)) AS o
        GROUP BY o.subscription_id
    )
    UPDATE buslog.flow f
    SET errors_in_row = n.errors, opened_at = n.opened_at,
        probe_at = CASE WHEN n.opened_at IS NOT NULL THEN clock_timestamp() + make_interval(secs => n.outage_probe) END
    FROM (
        SELECT c.*, CASE WHEN c.errors >= c.outage_after THEN coalesce(c.was_opened_at, clock_timestamp())
                         WHEN NOT c.answered THEN c.was_opened_at END AS opened_at
        FROM (SELECT h.subscription_id, h.answered, s.outage_after, s.outage_probe, b.opened_at AS was_opened_at,
                     CASE WHEN h.answered THEN h.errors ELSE h.errors + b.errors_in_row END::integer AS errors
              FROM heard h
              JOIN buslog.flow b ON b.subscription_id = h.subscription_id
              JOIN buslog.subscriptions s ON s.id = h.subscription_id AND s.outage_after IS NOT NULL
              WHERE h.errors > 0 OR (h.answered AND b.errors_in_row > 0)) AS c
    ) AS n
    WHERE f.subscription_id = n.subscription_id;
    SELECT array_agg(f.subscription_id) INTO opened
        FROM buslog.flow f WHERE f.subscription_id = ANY (subscriptions) AND f.opened_at IS NOT NULL;
    RETURN coalesce(opened, '{}');
END $$;

-- A delivery whose worker died under it a second time may be what kills it; one that has a single attempt left would
-- fail by a neighbour's fault.
CREATE FUNCTION buslog.is_to_run_alone(d buslog.deliveries) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM buslog.attempts a
                   WHERE a.message_id = d.message_id AND a.subscription_id = d.subscription_id
                     AND a.generation = d.generation AND a.error_type = 'WorkerLost')
        OR EXISTS (SELECT FROM buslog.subscriptions s
                   WHERE s.id = d.subscription_id AND d.attempt - d.uncharged + 1 >= (s.policy ->> 'max_attempts')::integer)
$$;

-- Records outcomes. Arrays run in parallel; element i is outcome i; null for an array of nulls. A delivery whose fence has
-- moved on, or that was cancelled, is stale: its outcome is dropped. Returns the fences of those that were not.
--   states: null (succeeded) | failed | cancelled | retrying (due after delays[i] seconds) | pending (released: the attempt is
--   not charged). outages[i]: the error means that the other side is down; while the circuit is open, the delivery waits as
--   pending and the attempt is not charged. lost: these are the outcomes of a worker that is gone.
CREATE FUNCTION buslog.settle(
    messages uuid[], subscriptions integer[], fences bigint[], states text[], delays double precision[],
    results jsonb[], error_types text[], errors text[], frames text[], tracebacks text[], outages boolean[],
    worker text, code_version text, lost boolean
) RETURNS bigint[] LANGUAGE plpgsql
-- A plan made while the hot table was empty would scan it whole when it has filled.
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    found record;
    circuits integer[] := '{}';
    accepted bigint[];
BEGIN
    -- Nobody moves what is running and keeps its fence: where it lies now it lies until it is settled.
    SELECT array_agg(d.place ORDER BY o.ordinal) AS places,
           array_agg(o.message_id) FILTER (WHERE d.chain IS NOT NULL) AS chains,
           array_agg(o.subscription_id) FILTER (WHERE d.order_key IS NOT NULL) AS subscriptions,
           array_agg(d.order_key) FILTER (WHERE d.order_key IS NOT NULL) AS keys
        INTO found
        FROM unnest(messages, subscriptions) WITH ORDINALITY AS o (message_id, subscription_id, ordinal)
        LEFT JOIN LATERAL (
            SELECT x.ctid AS place, x.chain, x.order_key FROM buslog.deliveries x
            WHERE x.message_id = o.message_id AND x.subscription_id = o.subscription_id
            OFFSET 0                                 -- by its key, also where the table was analysed while it was empty
        ) AS d ON true;
    IF found.chains IS NOT NULL THEN
        PERFORM buslog.lock_chains(found.chains);
    END IF;
    IF found.keys IS NOT NULL THEN
        PERFORM buslog.lock_orders(found.subscriptions);
    END IF;
    IF outages IS NOT NULL OR EXISTS (
        SELECT FROM buslog.flow f WHERE f.subscription_id = ANY (subscriptions) AND f.errors_in_row > 0
    ) THEN
        circuits := buslog.judge_circuits(subscriptions, states::buslog.state[], outages);
    END IF;

    WITH outcome AS MATERIALIZED (
        SELECT o.place, o.ready_seq, o.delay, o.result, o.error_type, o.error, o.frame, o.traceback,
               CASE WHEN o.outage AND o.subscription_id = ANY (circuits) THEN 'pending'
                    ELSE coalesce(o.state, 'succeeded') END AS state,
               clock_timestamp() AS finished_at
        FROM unnest(subscriptions, found.places, fences, states::buslog.state[], delays, results,
                    error_types, errors, frames, tracebacks, outages)
             AS o (subscription_id, place, ready_seq, state, delay, result, error_type, error, frame, traceback, outage)
    ), gone AS (
        DELETE FROM buslog.deliveries d USING outcome o
        WHERE d.ctid = o.place AND d.ready_seq = o.ready_seq AND d.state = 'running' AND o.state IN ('succeeded', 'failed', 'cancelled')
        RETURNING d.message_id, d.subscription_id, o.ready_seq, d.generation, d.attempt, d.repeats, d.chain, d.order_key,
                  d.started_at, o.state, o.finished_at, o.result, o.error_type, o.error, o.frame, o.traceback
    ), back AS (
        UPDATE buslog.deliveries d
        SET state = o.state, worker_id = NULL,
            due_at = CASE WHEN o.state = 'retrying' THEN o.finished_at + make_interval(secs => o.delay) END,
            ready_seq = CASE WHEN o.state = 'pending' THEN nextval('buslog.ready_seq') END,
            attempt = CASE WHEN o.state = 'pending' AND o.error_type IS NULL THEN d.attempt - 1 ELSE d.attempt END,
            uncharged = CASE WHEN o.state = 'pending' AND o.error_type IS NOT NULL THEN d.uncharged + 1 ELSE d.uncharged END,
            alone = d.alone OR (lost AND buslog.is_to_run_alone(d))
        FROM outcome o
        WHERE d.ctid = o.place AND d.ready_seq = o.ready_seq AND d.state = 'running' AND o.state IN ('retrying', 'pending')
        RETURNING d.message_id, d.subscription_id, o.ready_seq, d.generation, d.attempt, d.started_at,
                  o.finished_at, o.error_type, o.error, o.frame, o.traceback
    ), ended AS (
        INSERT INTO buslog.ended_deliveries
            (message_id, subscription_id, generation, attempts, repeats, chain, order_key, state, started_at, finished_at,
             worker, error_type, error, result)
        SELECT g.message_id, g.subscription_id, g.generation, g.attempt, g.repeats, g.chain, g.order_key, g.state,
               g.started_at, g.finished_at, worker, g.error_type, g.error, g.result FROM gone g
    ), tried AS (
        INSERT INTO buslog.attempts
            (message_id, subscription_id, generation, attempt, started_at, finished_at, worker, code_version,
             error_type, error, frame, traceback)
        SELECT t.message_id, t.subscription_id, t.generation, t.attempt, t.started_at, t.finished_at, worker, code_version,
               t.error_type, t.error, t.frame, t.traceback
        FROM (SELECT message_id, subscription_id, ready_seq, generation, attempt, started_at, finished_at,
                     error_type, error, frame, traceback FROM gone
              UNION ALL SELECT * FROM back) AS t
        WHERE t.error_type IS NOT NULL
    )
    SELECT array_agg(s.ready_seq) INTO accepted
        FROM (SELECT g.ready_seq FROM gone g UNION ALL SELECT b.ready_seq FROM back b) AS s;

    IF found.chains IS NOT NULL THEN
        PERFORM buslog.promote_chains(found.chains);
    END IF;
    IF found.keys IS NOT NULL THEN
        PERFORM buslog.promote_keys(found.subscriptions, found.keys);
    END IF;
    RETURN coalesce(accepted, '{}');
END $$;

-- Workers whose lease expired are retired: a late beat of theirs finds no row to renew, and they must register anew.
CREATE FUNCTION buslog.retire_workers() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    retired integer;
BEGIN
    -- Where the clock has stepped back, no lease reaches further than one that is renewed now: who is there beats again.
    UPDATE buslog.workers SET lease_until = clock_timestamp() + make_interval(secs => lease)
    WHERE retired_at IS NULL AND lease_until > clock_timestamp() + make_interval(secs => lease + 1);
    UPDATE buslog.workers SET retired_at = clock_timestamp()
    WHERE retired_at IS NULL AND lease_until < clock_timestamp()
      -- After a restart of the server every lease has lapsed: the workers get the time of one to beat again.
      AND pg_postmaster_start_time() NOT BETWEEN clock_timestamp() - make_interval(secs => lease) AND clock_timestamp();
    GET DIAGNOSTICS retired = ROW_COUNT;
    RETURN retired;
END $$;

-- Deliveries running under no live worker. By absence, not by a join with the retired: a worker whose row is
-- gone must be found too.
CREATE FUNCTION buslog.orphans(places integer)
RETURNS TABLE (message_id uuid, subscription_id integer, ready_seq bigint, charged smallint, policy jsonb, worker text)
LANGUAGE sql AS $$
    SELECT d.message_id, d.subscription_id, d.ready_seq, (d.attempt - d.uncharged)::smallint, s.policy, coalesce(w.worker, 'an unknown worker')
    FROM buslog.deliveries d
    JOIN buslog.subscriptions s ON s.id = d.subscription_id
    LEFT JOIN buslog.workers w ON w.id = d.worker_id
    WHERE d.state = 'running' AND (w.id IS NULL OR w.retired_at IS NOT NULL)
    ORDER BY d.message_id, d.subscription_id         -- two rescuers that settle the same ones wait and do not deadlock
    LIMIT places
$$;

-- Which of the deliveries that a worker runs are no longer its own, because they were cancelled or rescued. Not what has
-- succeeded, in the subscriber's own transaction: the worker may not have heard of its commit yet.
CREATE FUNCTION buslog.taken_away(messages uuid[], subscriptions integer[], fences bigint[])
RETURNS TABLE (message_id uuid, subscription_id integer, ready_seq bigint) LANGUAGE sql AS $$
    SELECT h.message_id, h.subscription_id, h.ready_seq
    FROM unnest(messages, subscriptions, fences) AS h (message_id, subscription_id, ready_seq)
    WHERE NOT EXISTS (SELECT FROM buslog.deliveries d
                      WHERE d.message_id = h.message_id AND d.subscription_id = h.subscription_id
                        AND d.ready_seq = h.ready_seq AND d.state = 'running')
      AND NOT EXISTS (SELECT FROM buslog.ended_deliveries e
                      WHERE e.message_id = h.message_id AND e.subscription_id = h.subscription_id
                        AND e.latest AND e.state = 'succeeded')
$$;
