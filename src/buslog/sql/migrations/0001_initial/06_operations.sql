-- What people do to deliveries. Called from operations.py only, which audits in the same transaction.

-- Sends ended deliveries again, each as its next generation. Returns those that were sent; of two replays of one
-- delivery the second finds `latest` gone and moves nothing.
CREATE FUNCTION buslog.replay(messages uuid[], subscriptions integer[])
RETURNS TABLE (message_id uuid, subscription_id integer, generation smallint, state buslog.state) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM buslog.lock_chains(messages);
    RETURN QUERY
    WITH wanted AS (
        SELECT DISTINCT w.message_id, w.subscription_id
        FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
    ), superseded AS (
        UPDATE buslog.ended_deliveries e SET latest = false
        FROM wanted w
        WHERE e.message_id = w.message_id AND e.subscription_id = w.subscription_id AND e.latest
        RETURNING e.message_id, e.subscription_id, e.generation, e.repeats, e.chain, e.state
    ), opened AS (
        SELECT s.*, s.chain IS NOT NULL AND (
            EXISTS (SELECT FROM buslog.deliveries o
                    WHERE o.message_id = s.message_id AND o.chain IS NOT NULL AND o.state <> 'blocked')
            OR s.chain > min(s.chain) OVER (PARTITION BY s.message_id)) AS waits
        FROM superseded s
    )
    INSERT INTO buslog.deliveries AS d
        (message_id, subscription_id, generation, repeats, chain, state, ready_seq)
    SELECT o.message_id, o.subscription_id, o.generation + 1,
           o.repeats + CASE WHEN o.state = 'succeeded' THEN 1 ELSE 0 END, o.chain,
           CASE WHEN o.waits THEN 'blocked' ELSE 'pending' END::buslog.state,
           CASE WHEN o.waits THEN NULL ELSE nextval('buslog.ready_seq') END
    FROM opened o
    RETURNING d.message_id, d.subscription_id, d.generation, d.state;
END $$;

-- Makes scheduled and retrying deliveries due at once. The attempts used so far stay as they are.
CREATE FUNCTION buslog.run_now(messages uuid[], subscriptions integer[])
RETURNS TABLE (message_id uuid, subscription_id integer) LANGUAGE sql AS $$
    UPDATE buslog.deliveries d SET state = 'pending', due_at = NULL, ready_seq = nextval('buslog.ready_seq')
    FROM unnest(messages, subscriptions) AS w (message_id, subscription_id)
    WHERE d.message_id = w.message_id AND d.subscription_id = w.subscription_id AND d.state IN ('scheduled', 'retrying')
    RETURNING d.message_id, d.subscription_id
$$;

-- Ends deliveries as cancelled: open ones leave the hot table (an attempt under way is not stopped, its outcome is
-- refused), failed ones leave Failures and their failed generation stays as history.
CREATE FUNCTION buslog.cancel(messages uuid[], subscriptions integer[])
RETURNS TABLE (message_id uuid, subscription_id integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM buslog.lock_chains(messages);
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
        RETURNING d.message_id, d.subscription_id, d.generation, d.attempt, d.repeats, d.chain, d.started_at,
                  NULL::text, NULL::text
    ), failed AS (
        UPDATE buslog.ended_deliveries e SET latest = false
        FROM wanted w
        WHERE e.message_id = w.message_id AND e.subscription_id = w.subscription_id
          AND e.latest AND e.state = 'failed'
        RETURNING e.message_id, e.subscription_id, (e.generation + 1)::smallint, e.attempts, e.repeats, e.chain,
                  e.started_at, e.error_type, e.error
    )
    INSERT INTO buslog.ended_deliveries AS e
        (message_id, subscription_id, generation, attempts, repeats, chain, started_at, error_type, error,
         state, finished_at)
    SELECT c.*, 'cancelled', clock_timestamp() FROM (SELECT * FROM open UNION ALL SELECT * FROM failed) AS c
    RETURNING e.message_id, e.subscription_id;
    PERFORM buslog.promote_chains(messages);
END $$;
