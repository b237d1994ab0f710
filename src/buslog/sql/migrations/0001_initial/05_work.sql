-- register, claim, settle, rescue: what workers do. Called from store.py only.

-- Records a subscription and the names that reach it; returns its number. A name is either a command with one
-- subscription, or an event with any number. Registrations take turns, so that two programs cannot both be first.
CREATE FUNCTION buslog.register(
    subscription text, names text[], kind buslog.kind, mode buslog.mode, chain_order integer, "position" integer,
    policy jsonb, payload_schema json, description text, code_version text
) RETURNS integer LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    taken record;
    number integer;
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
    INSERT INTO buslog.subscriptions AS s
        (subscription, kind, mode, chain_order, position, policy, payload_schema, description, code_version)
        VALUES (subscription, kind, mode, chain_order, "position", policy, payload_schema, description, code_version)
        ON CONFLICT ON CONSTRAINT subscriptions_subscription_key DO UPDATE SET
            kind = EXCLUDED.kind, mode = EXCLUDED.mode, chain_order = EXCLUDED.chain_order,
            position = EXCLUDED.position, policy = EXCLUDED.policy, payload_schema = EXCLUDED.payload_schema,
            description = EXCLUDED.description, code_version = EXCLUDED.code_version, active = true
        RETURNING s.id INTO number;
    DELETE FROM buslog.routes r WHERE r.subscription_id = number AND r.name <> ALL (names);
    INSERT INTO buslog.routes (name, subscription_id) SELECT unnest(names), number ON CONFLICT DO NOTHING;
    INSERT INTO buslog.names AS n (name, kind, first_seen) SELECT unnest(names), kind, clock_timestamp()
        ON CONFLICT (name) DO UPDATE SET kind = EXCLUDED.kind WHERE n.kind <> EXCLUDED.kind;
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

-- Takes ready deliveries of the given subscriptions, at most `places` of them, and counts the attempt.
-- Each subscription is looked at by itself, in the order given (the caller shuffles it), so that a busy one
-- does not hide the others. Payloads leave as text: a row that will not decode must fail alone.
CREATE FUNCTION buslog.claim(by_worker bigint, hosts integer[], places integer)
RETURNS TABLE (
    message_id uuid, subscription_id integer, ready_seq bigint, generation smallint, attempt smallint,
    repeats smallint, kind buslog.kind, name text, key text, payload text, emitted_at timestamptz,
    correlation_id uuid, causation_id uuid
) LANGUAGE plpgsql
-- When autovacuum finds the hot table empty, a custom plan would walk the dead entries of the primary key.
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
AS $$
#variable_conflict use_column
BEGIN
    -- A worker whose lease has lapsed would claim what the next rescue takes away from it.
    IF NOT EXISTS (SELECT FROM buslog.workers w
                   WHERE w.id = by_worker AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()) THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH ready AS MATERIALIZED (
        SELECT d.ctid FROM unnest(hosts) AS h (subscription_id)
        JOIN buslog.subscriptions s ON s.id = h.subscription_id AND s.paused_at IS NULL
        CROSS JOIN LATERAL (
            SELECT q.ctid FROM buslog.deliveries q
            WHERE q.subscription_id = h.subscription_id AND q.state = 'pending'
            ORDER BY q.ready_seq LIMIT places
            FOR UPDATE SKIP LOCKED
        ) AS d
        LIMIT places
    ), claimed AS (
        UPDATE buslog.deliveries AS d
        SET state = 'running', worker_id = by_worker, attempt = d.attempt + 1, started_at = clock_timestamp()
        WHERE d.ctid = ANY (ARRAY(SELECT ctid FROM ready)) AND d.state = 'pending'
        RETURNING d.message_id, d.subscription_id, d.ready_seq, d.generation, d.attempt, d.repeats
    )
    SELECT c.message_id, c.subscription_id, c.ready_seq, c.generation, c.attempt, c.repeats,
           m.kind, m.name, m.key, m.payload::text, m.emitted_at, m.correlation_id, m.causation_id
    FROM claimed c JOIN buslog.messages m ON m.id = c.message_id;
END $$;

-- What is running under a worker, as claim returns it: a claim or an emit whose answer was lost on the way left
-- deliveries leased to a worker that does not know of them.
CREATE FUNCTION buslog.held(worker bigint)
RETURNS TABLE (
    message_id uuid, subscription_id integer, ready_seq bigint, generation smallint, attempt smallint,
    repeats smallint, kind buslog.kind, name text, key text, payload text, emitted_at timestamptz,
    correlation_id uuid, causation_id uuid
) LANGUAGE sql AS $$
    SELECT d.message_id, d.subscription_id, d.ready_seq, d.generation, d.attempt, d.repeats,
           m.kind, m.name, m.key, m.payload::text, m.emitted_at, m.correlation_id, m.causation_id
    FROM buslog.deliveries d JOIN buslog.messages m ON m.id = d.message_id
    WHERE d.state = 'running' AND d.worker_id = worker
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
        SET state = 'pending', due_at = NULL, ready_seq = nextval('buslog.ready_seq')
        WHERE d.ctid = ANY (ARRAY(SELECT ctid FROM due)) AND d.state IN ('scheduled', 'retrying')
        RETURNING 1
    ) SELECT count(*) INTO promoted FROM moved;
    SELECT greatest(extract(epoch FROM d.due_at - clock_timestamp()), 0) INTO next_in
        FROM buslog.deliveries d WHERE d.state IN ('scheduled', 'retrying') ORDER BY d.due_at LIMIT 1;
END $$;

-- Serial chains. One delivery of a message's chain is open (pending, running, retrying) at a time.
-- Whoever ends or opens one holds the message's chain lock, taken in a statement of its own and in the
-- order of the ids, so that the next statement sees what the lock's last holder did.
CREATE FUNCTION buslog.lock_chains(messages uuid[]) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(id::text, 20111))
    FROM (SELECT DISTINCT unnest(messages) AS id ORDER BY id) AS sorted
$$;

-- The first blocked delivery of each chain becomes pending, unless one before it is open or has failed.
CREATE FUNCTION buslog.promote_chains(messages uuid[]) RETURNS void LANGUAGE sql AS $$
    UPDATE buslog.deliveries d SET state = 'pending', ready_seq = nextval('buslog.ready_seq')
    FROM (SELECT b.message_id, min(b.chain) AS chain FROM buslog.deliveries b
          WHERE b.message_id = ANY (messages) AND b.state = 'blocked' AND b.chain IS NOT NULL
          GROUP BY b.message_id) AS head
    WHERE d.message_id = head.message_id AND d.chain = head.chain AND d.state = 'blocked'
      AND NOT EXISTS (SELECT FROM buslog.deliveries o
                      WHERE o.message_id = d.message_id AND o.chain IS NOT NULL AND o.state <> 'blocked')
      AND NOT EXISTS (SELECT FROM buslog.ended_deliveries e
                      WHERE e.message_id = d.message_id AND e.chain < d.chain AND e.latest AND e.state = 'failed')
$$;

-- Records outcomes. Arrays run in parallel; element i is outcome i. A delivery whose fence has moved on, or that
-- was cancelled, is stale: its outcome is dropped and its row is not among those returned.
--   states: succeeded | failed | cancelled | retrying (due after delays[i] seconds) | pending (released: the attempt is not charged)
CREATE FUNCTION buslog.settle(
    messages uuid[], subscriptions integer[], fences bigint[], states text[], delays double precision[],
    results jsonb[], error_types text[], errors text[], frames text[], tracebacks text[],
    worker text, code_version text
) RETURNS TABLE (message_id uuid, subscription_id integer) LANGUAGE plpgsql
-- A plan made while the hot table was empty would scan it whole when it has filled.
SET plan_cache_mode = force_generic_plan
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    chained uuid[];
BEGIN
    SELECT array_agg(DISTINCT d.message_id) INTO chained
        FROM unnest(messages, subscriptions) AS o (message_id, subscription_id)
        JOIN buslog.deliveries d USING (message_id, subscription_id) WHERE d.chain IS NOT NULL;
    IF chained IS NOT NULL THEN
        PERFORM buslog.lock_chains(chained);
    END IF;

    RETURN QUERY
    WITH outcome AS MATERIALIZED (
        SELECT o.*, clock_timestamp() AS finished_at
        FROM unnest(messages, subscriptions, fences, states::buslog.state[], delays, results,
                    error_types, errors, frames, tracebacks)
             AS o (message_id, subscription_id, ready_seq, state, delay, result, error_type, error, frame, traceback)
    ), gone AS (
        DELETE FROM buslog.deliveries d USING outcome o
        WHERE d.message_id = o.message_id AND d.subscription_id = o.subscription_id
          AND d.ready_seq = o.ready_seq AND d.state = 'running' AND o.state IN ('succeeded', 'failed', 'cancelled')
        RETURNING d.message_id, d.subscription_id, d.generation, d.attempt, d.repeats, d.chain, d.started_at,
                  o.state, o.finished_at, o.result, o.error_type, o.error, o.frame, o.traceback
    ), back AS (
        UPDATE buslog.deliveries d
        SET state = o.state, worker_id = NULL,
            due_at = CASE WHEN o.state = 'retrying' THEN o.finished_at + make_interval(secs => o.delay) END,
            ready_seq = CASE WHEN o.state = 'pending' THEN nextval('buslog.ready_seq') END,
            attempt = CASE WHEN o.state = 'pending' THEN d.attempt - 1 ELSE d.attempt END
        FROM outcome o
        WHERE d.message_id = o.message_id AND d.subscription_id = o.subscription_id
          AND d.ready_seq = o.ready_seq AND d.state = 'running' AND o.state IN ('retrying', 'pending')
        RETURNING d.message_id, d.subscription_id, d.generation, d.attempt, d.started_at,
                  o.finished_at, o.error_type, o.error, o.frame, o.traceback
    ), ended AS (
        INSERT INTO buslog.ended_deliveries
            (message_id, subscription_id, generation, attempts, repeats, chain, state, started_at, finished_at,
             worker, error_type, error, result)
        SELECT g.message_id, g.subscription_id, g.generation, g.attempt, g.repeats, g.chain, g.state, g.started_at,
               g.finished_at, worker, g.error_type, g.error, g.result FROM gone g
    ), tried AS (
        INSERT INTO buslog.attempts
            (message_id, subscription_id, generation, attempt, started_at, finished_at, worker, code_version,
             error_type, error, frame, traceback)
        SELECT t.message_id, t.subscription_id, t.generation, t.attempt, t.started_at, t.finished_at, worker, code_version,
               t.error_type, t.error, t.frame, t.traceback
        FROM (SELECT message_id, subscription_id, generation, attempt, started_at, finished_at,
                     error_type, error, frame, traceback FROM gone
              UNION ALL SELECT * FROM back) AS t
        WHERE t.error_type IS NOT NULL
    )
    SELECT g.message_id, g.subscription_id FROM gone g UNION ALL SELECT b.message_id, b.subscription_id FROM back b;

    IF chained IS NOT NULL THEN
        PERFORM buslog.promote_chains(chained);
    END IF;
END $$;

-- Workers whose lease expired are retired: a late beat of theirs finds no row to renew, and they must register anew.
CREATE FUNCTION buslog.retire_workers() RETURNS integer LANGUAGE sql AS $$
    WITH retired AS (
        UPDATE buslog.workers SET retired_at = clock_timestamp()
        WHERE retired_at IS NULL AND lease_until < clock_timestamp()
          -- After a restart of the server every lease has lapsed: the workers get the time of one to beat again.
          AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => lease)
        RETURNING 1)
    SELECT count(*)::integer FROM retired
$$;

-- Deliveries running under no live worker. By absence, not by a join with the retired: a worker whose row is
-- gone must be found too.
CREATE FUNCTION buslog.orphans(places integer)
RETURNS TABLE (message_id uuid, subscription_id integer, ready_seq bigint, attempt smallint, policy jsonb, worker text)
LANGUAGE sql AS $$
    SELECT d.message_id, d.subscription_id, d.ready_seq, d.attempt, s.policy, coalesce(w.worker, 'an unknown worker')
    FROM buslog.deliveries d
    JOIN buslog.subscriptions s ON s.id = d.subscription_id
    LEFT JOIN buslog.workers w ON w.id = d.worker_id
    WHERE d.state = 'running' AND (w.id IS NULL OR w.retired_at IS NOT NULL)
    LIMIT places
$$;
