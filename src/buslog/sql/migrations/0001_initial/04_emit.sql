-- emit: the message and one delivery per matching subscription, in one transaction.

-- Every refusal has one shape: the sentence for people, and in DETAIL the same as JSON for programs.
CREATE FUNCTION buslog.refuse(field text, rule text, was text, "limit" text, mend text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'BL001',
        MESSAGE = format('%s: %s (was %s, limit %s). %s', field, rule, was, "limit", mend),
        DETAIL = jsonb_build_object('field', field, 'rule', rule, 'was', was, 'limit', "limit", 'mend', mend);
END $$;

-- SQL cannot check a JSON Schema; it checks what could harm the log or its readers.
-- What check_message refuses, as one expression that is evaluated inside the emit's own statement.
CREATE FUNCTION buslog.is_fit(name text, payload jsonb, key text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT name IS NOT NULL AND length(name) BETWEEN 1 AND 200 AND name !~ '[[:cntrl:]]' AND name ~ '\S'
       AND (key IS NULL OR length(key) BETWEEN 1 AND 200 AND key !~ '[[:cntrl:]]')
       AND payload IS NOT NULL AND jsonb_typeof(payload) = 'object'
       AND NOT jsonb_path_exists(payload, 'strict $.**{65}')
       -- A number of more than 4,000 digits needs a text of more than 4,000 bytes; most texts are made once.
       AND (octet_length(payload::text) <= 4000
            OR octet_length(payload::text) <= 1000000 AND NOT jsonb_path_exists(payload,
               'lax $.** ? (@.type() == "number" && (@ >= 1e4000 || @ <= -1e4000))'))
$$;

-- Raises the reason why a message is not fit; stands in the place of its id.
CREATE FUNCTION buslog.refuse_message(name text, payload jsonb, key text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    size integer;
BEGIN
    IF name IS NULL OR name = '' OR length(name) > 200 THEN
        PERFORM buslog.refuse('name', 'has 1 to 200 characters', coalesce(length(name), 0) || ' characters',
            '200 characters', 'Choose a shorter name that is not empty.');
    ELSIF name ~ '[[:cntrl:]]' OR name ~ '^\s*$' THEN
        PERFORM buslog.refuse('name', 'is printable text', 'a name with control characters, or only blanks',
            'printable characters', 'Remove the control characters.');
    END IF;
    IF key IS NOT NULL AND (key = '' OR length(key) > 200 OR key ~ '[[:cntrl:]]') THEN
        PERFORM buslog.refuse('key', 'has 1 to 200 printable characters', length(key) || ' characters',
            '200 characters', 'Give a shorter key, or none.');
    END IF;
    IF payload IS NULL OR jsonb_typeof(payload) <> 'object' THEN
        PERFORM buslog.refuse('payload', 'is a JSON object', coalesce(jsonb_typeof(payload), 'nothing'),
            'an object', 'Wrap the value: {"value": …}.');
    END IF;
    size := octet_length(payload::text);
    IF size > 1000000 THEN
        PERFORM buslog.refuse('payload', 'is at most 1 MB as JSON text', size || ' bytes', '1000000 bytes',
            'Store the document elsewhere and emit its address.');
    END IF;
    IF jsonb_path_exists(payload, 'strict $.**{65}') THEN
        PERFORM buslog.refuse('payload', 'is nested at most 64 deep', 'more than 64 levels', '64 levels',
            'Flatten the payload.');
    END IF;
    PERFORM buslog.refuse('payload', 'has numbers of at most 4000 digits', 'a longer number', '4000 digits',
        'Send the number as text.');
END $$;

-- The business key: given, or the payload's field named in the settings (a dotted path).
CREATE FUNCTION buslog.key_of(payload jsonb, key_path text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(payload #> key_path) IN ('string', 'number')
                THEN nullif(payload #>> key_path, '') END
$$;

-- The moment of message `place` of those that one call emits: a microsecond apart, so that their ids are in their order.
CREATE FUNCTION buslog.moment(base timestamptz, place bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT base + (place - 1) * interval '1 microsecond'
$$;

-- Dedupe keys, taken in one order, so that two emits with the same keys wait for each other and do not deadlock.
-- `ids[i]`: the id for message i, or the first message's where the key is in use and i is among the `duplicates`.
CREATE FUNCTION buslog.take_dedupe_keys(
    keys text[], windows double precision[], base timestamptz, OUT ids uuid[], OUT duplicates integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    one record;
    known uuid;
BEGIN
    ids := '{}'; duplicates := '{}';
    FOR one IN
        SELECT u.dedupe_key, u.dedupe_window, u.ordinal::integer AS place
        FROM unnest(keys, windows) WITH ORDINALITY AS u (dedupe_key, dedupe_window, ordinal)
        WHERE u.dedupe_key IS NOT NULL ORDER BY u.dedupe_key, u.ordinal
    LOOP
        LOOP
            INSERT INTO buslog.dedupe AS d (dedupe_key, message_id, until)
                VALUES (one.dedupe_key, buslog.new_id(buslog.moment(base, one.place)),
                        clock_timestamp() + make_interval(secs => one.dedupe_window))
                ON CONFLICT (dedupe_key) DO UPDATE SET message_id = EXCLUDED.message_id, until = EXCLUDED.until
                    WHERE d.until <= clock_timestamp()
                RETURNING d.message_id INTO known;
            EXIT WHEN FOUND;
            SELECT d.message_id INTO known FROM buslog.dedupe d WHERE d.dedupe_key = one.dedupe_key;
            IF FOUND THEN
                duplicates := duplicates || one.place;
                EXIT;
            END IF;                                  -- it expired and was forgotten just now: once more
        END LOOP;
        ids[one.place] := known;
    END LOOP;
END $$;

-- A function, so that an emit that has no cause does not pay for the look.
CREATE FUNCTION buslog.correlation_of(message uuid) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT m.correlation_id FROM buslog.messages m WHERE m.id = message
$$;

-- ── who hears a name ────────────────────────────────────────────────────────────

-- Whoever hears a name, by itself or by a pattern, in the order in which the deliveries start. No pattern hears a command.
CREATE FUNCTION buslog.recipients_of(message_name text) RETURNS buslog.recipient[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(ROW(
               h.id, h.kind, h.mode, CASE WHEN h.mode = 'serial' THEN h.place END, h.ordered_by_key,
               h.paused_at IS NULL AND coalesce(h.concurrency, h.rate_count, h.outage_after) IS NULL
           )::buslog.recipient ORDER BY h.by_pattern, h.position, h.id), '{}')
    FROM (
        SELECT s.*, r.by_pattern,
               row_number() OVER (PARTITION BY s.mode ORDER BY s.chain_order, r.by_pattern, s.position, s.id) AS place
        FROM (
            SELECT x.subscription_id, bool_and(x.pattern IS NOT NULL) AS by_pattern FROM buslog.routes x
            WHERE x.name = message_name AND x.pattern IS NULL OR message_name LIKE x.pattern
            GROUP BY x.subscription_id
        ) AS r JOIN buslog.subscriptions s ON s.id = r.subscription_id AND s.active
        WHERE NOT r.by_pattern OR NOT EXISTS (
            SELECT FROM buslog.routes x JOIN buslog.subscriptions c ON c.id = x.subscription_id
            WHERE x.name = message_name AND x.pattern IS NULL AND c.kind = 'command')
    ) AS h
$$;

-- The recipients of every name are found anew, by the first emit of each.
CREATE FUNCTION buslog.reroute() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE buslog.settings SET routing = routing + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER reroute AFTER INSERT OR DELETE OR UPDATE ON buslog.routes FOR EACH STATEMENT
    EXECUTE FUNCTION buslog.reroute();
CREATE TRIGGER reroute AFTER UPDATE ON buslog.subscriptions FOR EACH ROW
    WHEN ((OLD.kind, OLD.mode, OLD.chain_order, OLD.position, OLD.ordered_by_key, OLD.active, OLD.paused_at,
           OLD.concurrency, OLD.rate_count, OLD.outage_after)
          IS DISTINCT FROM
          (NEW.kind, NEW.mode, NEW.chain_order, NEW.position, NEW.ordered_by_key, NEW.active, NEW.paused_at,
           NEW.concurrency, NEW.rate_count, NEW.outage_after))
    EXECUTE FUNCTION buslog.reroute();

-- Finds the recipients of the names that are new, or were routed otherwise since; returns whether all are known now. One
-- that another transaction is at is left to it: an open transaction must not hold up whoever says the same. In a snapshot
-- that does not move, what others have changed since would be an error.
CREATE FUNCTION buslog.resolve_names(names text[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    WITH stale AS MATERIALIZED (
        SELECT DISTINCT u.name, s.routing
        FROM unnest(names) AS u (name) CROSS JOIN buslog.settings s LEFT JOIN buslog.names n ON n.name = u.name
        WHERE length(u.name) <= 200
          AND (n.name IS NULL OR n.routing < s.routing AND current_setting('transaction_isolation') = 'read committed')
    ), ours AS MATERIALIZED (
        SELECT t.name, t.routing, buslog.recipients_of(t.name) AS recipients
        FROM stale t WHERE pg_try_advisory_xact_lock(20113, hashtext(t.name))
    )
    INSERT INTO buslog.names AS n (name, kind, first_seen, recipients, routing)
    SELECT o.name, coalesce(o.recipients[1].kind, 'event'), clock_timestamp(), o.recipients, o.routing FROM ours o
    ON CONFLICT (name) DO UPDATE SET recipients = EXCLUDED.recipients, routing = EXCLUDED.routing
        WHERE n.routing < EXCLUDED.routing;
    RETURN NOT EXISTS (
        SELECT FROM unnest(names) AS u (name) CROSS JOIN buslog.settings s LEFT JOIN buslog.names n ON n.name = u.name
        WHERE n.routing IS DISTINCT FROM s.routing);
END $$;

-- Many messages, one transaction. Arrays run in parallel; element i is message i; null for an array of nulls.
--   delays (seconds from now), due_ats: when its deliveries are due; one that is not due yet is born scheduled.
--   dedupe_keys, dedupe_windows (seconds): a message whose dedupe key was used within its window is not stored again; its
--   row tells the first one's id and says `duplicate`.
--   by_worker, hosts, started: the emitting process's worker (or null), the subscriptions it hosts, and of how many
--   messages, from the first on, it can start the async and serial deliveries at once: those are born running, leased to
--   it. Its sync deliveries always are, because the publisher waits for them.
-- One row a message, `place` being its place among those given: which deliveries were born leased (parallel arrays with
-- their fences, whose order is that in which they are to start), with what the worker needs to run them, else null; and
-- which sync ones some other worker has to run.
CREATE FUNCTION buslog.emit_many(
    names text[], payloads jsonb[], keys text[], correlation_ids uuid[], causation_ids uuid[], traceparents text[],
    delays double precision[], due_ats timestamptz[], dedupe_keys text[], dedupe_windows double precision[],
    source text, actor text, by_worker bigint, hosts integer[], started integer
) RETURNS TABLE (
    place integer, message_id uuid, kind buslog.kind, key text, emitted_at timestamptz, correlation_id uuid,
    routed smallint, leased integer[], fences bigint[], awaited integer[], duplicate boolean
) LANGUAGE plpgsql
-- Planning anew for each call took half the time of a lone emit.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    state record;
    taken record;
    base timestamptz := clock_timestamp();
    base_us bigint := extract(epoch FROM base) * 1000000;
BEGIN
    SELECT string_to_array(s.key_field, '.') AS key_path,
           s.until_time,
           NOT EXISTS (SELECT FROM unnest(names) AS u (name)
                       WHERE NOT EXISTS (SELECT FROM buslog.names n WHERE n.name = u.name AND n.routing = s.routing)) AS are_known,
           (SELECT w.id FROM buslog.workers w
            WHERE w.id = by_worker AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()) AS worker
        INTO state FROM buslog.settings s;
    -- Workers make partitions three months ahead. Where none has run for that long, an emit still does not fail.
    IF state.until_time < clock_timestamp() + interval '7 days' THEN
        PERFORM buslog.ensure_partitions(clock_timestamp(), clock_timestamp() + interval '3 months');
    END IF;
    IF NOT state.are_known THEN
        state.are_known := buslog.resolve_names(names);
    END IF;
    SELECT '{}'::uuid[] AS ids, '{}'::integer[] AS duplicates INTO taken;
    IF dedupe_keys IS NOT NULL THEN
        SELECT * INTO taken FROM buslog.take_dedupe_keys(dedupe_keys, dedupe_windows, base);
    END IF;

    RETURN QUERY
    WITH said AS MATERIALIZED (
        SELECT t.*, r.recipients,
               CASE WHEN NOT buslog.is_fit(t.name, t.payload, t.key) THEN buslog.refuse_message(t.name, t.payload, t.key)
                    WHEN taken.ids = '{}' THEN buslog.new_id(base_us + t.place - 1)
                    ELSE coalesce(taken.ids[t.place], buslog.new_id(base_us + t.place - 1)) END AS id,
               greatest(t.due_at, t.emitted_at + make_interval(secs => t.delay)) AS due
        FROM (
            SELECT u.place::integer, u.name, u.payload, u.correlation_id, u.causation_id, u.traceparent,
                   coalesce(u.key, buslog.key_of(u.payload, state.key_path)) AS key, u.delay, u.due_at,
                   buslog.moment(base, u.place) AS emitted_at
            FROM unnest(names, payloads, keys, correlation_ids, causation_ids, traceparents, delays, due_ats)
                 WITH ORDINALITY AS u (name, payload, key, correlation_id, causation_id, traceparent, delay, due_at, place)
            WHERE u.place <> ALL (taken.duplicates)
            OFFSET 0                                 -- each key and moment once, not wherever it is named
        ) AS t
        LEFT JOIN LATERAL (
            SELECT n.recipients FROM buslog.names n WHERE n.name = t.name AND state.are_known
          UNION ALL
            SELECT buslog.recipients_of(t.name) WHERE NOT state.are_known
        ) AS r ON true
    ), placed AS MATERIALIZED (
        SELECT f.*, f.hosted AND NOT f.waits AND (f.mode = 'sync' OR f.place <= started) AS leased,
               CASE WHEN f.waits OR f.due_at IS NOT NULL THEN NULL ELSE nextval('buslog.ready_seq') END AS ready_seq
        FROM (
            SELECT g.*, coalesce(g.chain > 1, false) OR g.order_key IS NOT NULL AND g.due_at IS NULL AS waits
            FROM (
                SELECT said.place, said.id, r.subscription_id, r.kind, r.mode, r.chain,
                       CASE WHEN r.ordered_by_key THEN said.key END AS order_key,
                       CASE WHEN said.due > said.emitted_at THEN said.due END AS due_at,
                       state.worker IS NOT NULL AND r.starts_at_once AND r.subscription_id = ANY (hosts)
                           AND coalesce(said.due <= said.emitted_at, true) AS hosted
                FROM said CROSS JOIN LATERAL unnest(said.recipients) AS r  -- in their order, and the messages'
            ) AS g
        ) AS f
    ), delivered AS (
        INSERT INTO buslog.deliveries
            (message_id, subscription_id, attempt, chain, state, ready_seq, worker_id, due_at, started_at, order_key)
        SELECT p.id, p.subscription_id, CASE WHEN p.leased THEN 1 ELSE 0 END, p.chain,
               CASE WHEN p.leased THEN 'running' WHEN p.waits THEN 'blocked'
                    WHEN p.due_at IS NOT NULL THEN 'scheduled' ELSE 'pending' END::buslog.state,
               p.ready_seq, CASE WHEN p.leased THEN state.worker END,
               CASE WHEN p.waits THEN NULL ELSE p.due_at END,
               CASE WHEN p.leased THEN clock_timestamp() END, p.order_key
        FROM placed p
    ), answer AS MATERIALIZED (
        SELECT said.*, x.leased, x.fences, x.awaited, coalesce(x.routed, 0)::smallint AS routed,
               CASE WHEN x.is_command THEN 'command' ELSE 'event' END::buslog.kind AS kind,
               CASE WHEN said.correlation_id IS NOT NULL THEN said.correlation_id
                    WHEN said.causation_id IS NULL THEN said.id
                    ELSE coalesce(buslog.correlation_of(said.causation_id), said.id) END AS correlation
        FROM said LEFT JOIN (
            SELECT p.place, count(*) AS routed, bool_or(p.kind = 'command') AS is_command,
                   array_agg(p.subscription_id) FILTER (WHERE p.leased) AS leased,
                   array_agg(p.ready_seq) FILTER (WHERE p.leased) AS fences,
                   array_agg(p.subscription_id) FILTER (WHERE p.mode = 'sync' AND NOT p.leased AND p.due_at IS NULL) AS awaited
            FROM placed p GROUP BY p.place
        ) AS x USING (place)
    ), stored AS (
        INSERT INTO buslog.messages
            (id, kind, routed, emitted_at, correlation_id, causation_id, name, key, source, actor, traceparent, payload)
        SELECT a.id, a.kind, a.routed, a.emitted_at, a.correlation, a.causation_id, a.name, a.key, source, actor,
               a.traceparent, a.payload
        FROM answer a
    )
    SELECT a.place, a.id, l.kind, l.key, l.emitted_at, l.correlation, a.routed, a.leased, a.fences, a.awaited, false
    FROM answer a
    LEFT JOIN LATERAL (SELECT a.kind, a.key, a.emitted_at, a.correlation WHERE a.leased IS NOT NULL) AS l ON true;

    IF taken.duplicates <> '{}' THEN
        RETURN QUERY SELECT d, taken.ids[d], NULL::buslog.kind, NULL::text, NULL::timestamptz, NULL::uuid, 0::smallint,
                            NULL::integer[], NULL::bigint[], NULL::integer[], true
                     FROM unnest(taken.duplicates) AS d;
    END IF;
END $$;

-- One message. What is usual goes straight: a name whose recipients are known, said for now and without a dedupe key. All
-- else, and whatever is to be refused, goes by `emit_many`, whose rules these are (tests/store/test_lone.py compares them).
-- Parameters and answer as there, but for `given_key` and `given_correlation`, which are the message's if it has none.
CREATE FUNCTION buslog.emit_lone(
    name text, payload jsonb, given_key text, given_correlation uuid, causation_id uuid, traceparent text,
    delay double precision, due_at timestamptz, dedupe_key text, dedupe_window double precision,
    source text, actor text, by_worker bigint, hosts integer[], started integer,
    OUT message_id uuid, OUT kind buslog.kind, OUT key text, OUT emitted_at timestamptz, OUT correlation_id uuid,
    OUT routed smallint, OUT leased integer[], OUT fences bigint[], OUT awaited integer[], OUT duplicate boolean
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    heard record;
    recipient buslog.recipient;
    worker bigint;
    waits boolean;
    starts boolean;
    fence bigint;
BEGIN
    SELECT n.recipients, s.key_field, s.until_time INTO heard
        FROM buslog.names n JOIN buslog.settings s ON s.routing = n.routing WHERE n.name = emit_lone.name;
    IF FOUND AND delay IS NULL AND due_at IS NULL AND dedupe_key IS NULL THEN
        emitted_at := clock_timestamp();
        key := coalesce(given_key, buslog.key_of(payload, string_to_array(heard.key_field, '.')));
        IF heard.until_time > emitted_at + interval '7 days' AND buslog.is_fit(name, payload, key) THEN
            message_id := buslog.new_id((extract(epoch FROM emitted_at) * 1000000)::bigint);
            kind := coalesce(heard.recipients[1].kind, 'event');
            correlation_id := CASE WHEN given_correlation IS NOT NULL THEN given_correlation
                                   WHEN causation_id IS NULL THEN message_id
                                   ELSE coalesce(buslog.correlation_of(causation_id), message_id) END;
            routed := cardinality(heard.recipients);
            duplicate := false;
            IF by_worker IS NOT NULL THEN
                SELECT w.id INTO worker FROM buslog.workers w
                    WHERE w.id = by_worker AND w.retired_at IS NULL AND w.lease_until > clock_timestamp();
            END IF;
            INSERT INTO buslog.messages
                (id, kind, routed, emitted_at, correlation_id, causation_id, name, key, source, actor, traceparent, payload)
                VALUES (message_id, kind, routed, emitted_at, correlation_id, causation_id, name, key, source, actor,
                        traceparent, payload);
            -- One by one: most names have few recipients, and a set of rows that tell what became of them costs more.
            FOREACH recipient IN ARRAY heard.recipients LOOP
                waits := coalesce(recipient.chain > 1, false) OR recipient.ordered_by_key AND key IS NOT NULL;
                starts := worker IS NOT NULL AND recipient.starts_at_once AND NOT waits
                    AND recipient.subscription_id = ANY (hosts) AND (recipient.mode = 'sync' OR started > 0);
                fence := CASE WHEN NOT waits THEN nextval('buslog.ready_seq') END;
                INSERT INTO buslog.deliveries
                    (message_id, subscription_id, attempt, chain, state, ready_seq, worker_id, started_at, order_key)
                    VALUES (message_id, recipient.subscription_id, CASE WHEN starts THEN 1 ELSE 0 END, recipient.chain,
                            CASE WHEN starts THEN 'running' WHEN waits THEN 'blocked' ELSE 'pending' END::buslog.state,
                            fence, CASE WHEN starts THEN worker END, CASE WHEN starts THEN clock_timestamp() END,
                            CASE WHEN recipient.ordered_by_key THEN key END);
                IF starts THEN
                    leased := leased || recipient.subscription_id;
                    fences := fences || fence;
                ELSIF recipient.mode = 'sync' THEN
                    awaited := awaited || recipient.subscription_id;
                END IF;
            END LOOP;
            IF leased IS NULL THEN
                kind := NULL; key := NULL; emitted_at := NULL; correlation_id := NULL;
            END IF;
            RETURN;
        END IF;
    END IF;
    SELECT e.message_id, e.kind, e.key, e.emitted_at, e.correlation_id, e.routed, e.leased, e.fences, e.awaited, e.duplicate
        INTO message_id, kind, key, emitted_at, correlation_id, routed, leased, fences, awaited, duplicate
        FROM buslog.emit_many(
            ARRAY[name], ARRAY[payload], ARRAY[given_key], ARRAY[given_correlation], ARRAY[causation_id],
            ARRAY[traceparent], ARRAY[delay], ARRAY[due_at], CASE WHEN dedupe_key IS NOT NULL THEN ARRAY[dedupe_key] END,
            ARRAY[dedupe_window], source, actor, by_worker, hosts, started) AS e;
END $$;

-- The public door for any language and any driver: commits and rolls back with its caller.
CREATE FUNCTION buslog.emit(
    name text, payload jsonb, key text DEFAULT NULL,
    correlation_id uuid DEFAULT NULL, causation_id uuid DEFAULT NULL,
    after interval DEFAULT NULL, at timestamptz DEFAULT NULL,
    dedupe_key text DEFAULT NULL, dedupe_window interval DEFAULT '1 day',
    source text DEFAULT 'sql', actor text DEFAULT NULL, traceparent text DEFAULT NULL
) RETURNS uuid LANGUAGE sql AS $$
    SELECT message_id FROM buslog.emit_lone(
        name, payload, key, correlation_id, causation_id, traceparent, extract(epoch FROM after)::double precision, at,
        dedupe_key, extract(epoch FROM dedupe_window)::double precision, source, actor, NULL, '{}', 0)
$$;
COMMENT ON FUNCTION buslog.emit IS 'Put a message on the bus in the caller''s transaction. Returns its id, or with a dedupe key in use the first message''s.';
