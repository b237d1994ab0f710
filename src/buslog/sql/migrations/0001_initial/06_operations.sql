-- What people do to deliveries. Called from operations.py only, which audits in the same transaction.

-- Sends ended deliveries again, each as its next generation; where `generations` are given, only what is in that one.
-- Returns those that were sent, and what they were; of two replays of one delivery the second finds `latest` gone and
-- moves nothing. A link of a chain, and one that is ordered by key, waits for its turn like a new one.
CREATE FUNCTION buslog.replay(messages uuid[], subscriptions integer[], generations smallint[] DEFAULT NULL)
RETURNS TABLE (message_id uuid, subscription_id integer, was buslog.state) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    waiting record;
BEGIN
    PERFORM buslog.lock_chains(messages);
    PERFORM buslog.lock_orders(subscriptions);
    RETURN QUERY
    WITH wanted AS (
        SELECT DISTINCT w.* FROM unnest(messages, subscriptions, generations) AS w (message_id, subscription_id, generation)
    ), superseded AS (
        UPDATE buslog.ended_deliveries e SET latest = false, superseded = pg_current_xact_id()
        FROM wanted w
        WHERE e.message_id = w.message_id AND e.subscription_id = w.subscription_id AND e.latest
          AND e.generation = coalesce(w.generation, e.generation)
        RETURNING e.message_id, e.subscription_id, e.generation, e.repeats, e.chain, e.order_key, e.state,
                  e.chain IS NOT NULL OR e.order_key IS NOT NULL AS waits
    ), opened AS (
        INSERT INTO buslog.deliveries
            (message_id, subscription_id, generation, repeats, chain, order_key, sequenced, state, ready_seq)
        SELECT s.message_id, s.subscription_id, s.generation + 1,
               s.repeats + CASE WHEN s.state = 'succeeded' THEN 1 ELSE 0 END, s.chain, s.order_key,
               s.order_key IS NOT NULL,              -- at once, or what is newer could go ahead of it
               CASE WHEN s.waits THEN 'blocked' ELSE 'pending' END::buslog.state,
               CASE WHEN s.waits THEN NULL ELSE nextval('buslog.ready_seq') END
        FROM superseded s
    )
    SELECT s.message_id, s.subscription_id, s.state FROM superseded s;
    SELECT array_agg(d.message_id) FILTER (WHERE d.chain IS NOT NULL) AS chains,
           array_agg(d.subscription_id) FILTER (WHERE d.order_key IS NOT NULL) AS subscriptions,
           array_agg(d.order_key) FILTER (WHERE d.order_key IS NOT NULL) AS keys
        INTO waiting
        FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
        JOIN buslog.deliveries d USING (message_id, subscription_id)
        WHERE d.state = 'blocked';
    IF waiting.chains IS NOT NULL THEN
        PERFORM buslog.promote_chains(waiting.chains);
    END IF;
    IF waiting.keys IS NOT NULL THEN
        PERFORM buslog.promote_keys(waiting.subscriptions, waiting.keys);
    END IF;
END $$;

-- Locks open deliveries, and holds none of them while it waits for another: a settle of the same ones goes through them
-- in an order of its own.
CREATE FUNCTION buslog.hold(messages uuid[], subscriptions integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        BEGIN
            PERFORM FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
                JOIN buslog.deliveries d USING (message_id, subscription_id) FOR UPDATE OF d NOWAIT;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.01);
        END;
    END LOOP;
END $$;

-- Makes scheduled and retrying deliveries due at once. The attempts used so far stay as they are.
CREATE FUNCTION buslog.run_now(messages uuid[], subscriptions integer[])
RETURNS TABLE (message_id uuid, subscription_id integer) LANGUAGE sql AS $$
    SELECT buslog.hold(messages, subscriptions);
    UPDATE buslog.deliveries d
    SET state = buslog.state_when_due(d), due_at = NULL,
        ready_seq = CASE WHEN buslog.state_when_due(d) = 'pending' THEN nextval('buslog.ready_seq') END
    FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
    WHERE d.message_id = w.message_id AND d.subscription_id = w.subscription_id AND d.state IN ('scheduled', 'retrying')
    RETURNING d.message_id, d.subscription_id
$$;

-- Ends deliveries as cancelled: open ones leave the hot table (the outcome of an attempt under way is
-- refused), failed ones leave Failures and their failed generation stays as history.
CREATE FUNCTION buslog.cancel(messages uuid[], subscriptions integer[])
RETURNS TABLE (message_id uuid, subscription_id integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    keyed record;
BEGIN
    PERFORM buslog.lock_chains(messages);
    PERFORM buslog.lock_orders(subscriptions);
    PERFORM buslog.hold(messages, subscriptions);
    SELECT array_agg(k.subscription_id) AS subscriptions, array_agg(k.order_key) AS keys INTO keyed FROM (
        SELECT d.subscription_id, d.order_key
        FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
        JOIN buslog.deliveries d USING (message_id, subscription_id) WHERE d.order_key IS NOT NULL
      UNION
        SELECT e.subscription_id, e.order_key
        FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
        JOIN buslog.ended_deliveries e USING (message_id, subscription_id) WHERE e.order_key IS NOT NULL AND e.latest
    ) AS k;
    -- A chain whose scheduled head is cancelled goes on waiting: the next one inherits its time.
    UPDATE buslog.deliveries b SET state = 'scheduled', due_at = head.due_at
    FROM buslog.deliveries head
    WHERE head.message_id = b.message_id AND head.state = 'scheduled' AND head.chain IS NOT NULL AND b.state = 'blocked'
      AND (head.message_id, head.subscription_id) IN (SELECT * FROM unnest(messages, subscriptions))
      AND b.chain = (SELECT min(x.chain) FROM buslog.deliveries x
                     WHERE x.message_id = head.message_id AND x.state = 'blocked'
                       AND (x.message_id, x.subscription_id) NOT IN (SELECT * FROM unnest(messages, subscriptions)));
    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT w.message_id, w.subscription_id
        FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
    ), open AS (
        DELETE FROM buslog.deliveries d USING wanted w
        WHERE d.message_id = w.message_id AND d.subscription_id = w.subscription_id
        RETURNING d.message_id, d.subscription_id, d.generation, d.attempt, d.repeats, d.chain, d.order_key,
                  d.started_at, NULL::text, NULL::text
    ), failed AS (
        UPDATE buslog.ended_deliveries e SET latest = false, superseded = pg_current_xact_id()
        FROM wanted w
        WHERE e.message_id = w.message_id AND e.subscription_id = w.subscription_id
          AND e.latest AND e.state = 'failed'
        RETURNING e.message_id, e.subscription_id, (e.generation + 1)::smallint, e.attempts, e.repeats, e.chain,
                  e.order_key, e.started_at, e.error_type, e.error
    )
    INSERT INTO buslog.ended_deliveries AS e
        (message_id, subscription_id, generation, attempts, repeats, chain, order_key, started_at, error_type, error,
         state, finished_at)
    SELECT c.*, 'cancelled', clock_timestamp() FROM (SELECT * FROM open UNION ALL SELECT * FROM failed) AS c
    RETURNING e.message_id, e.subscription_id;
    PERFORM buslog.promote_chains(messages);
    IF keyed.keys IS NOT NULL THEN
        PERFORM buslog.promote_keys(keyed.subscriptions, keyed.keys);
    END IF;
END $$;
