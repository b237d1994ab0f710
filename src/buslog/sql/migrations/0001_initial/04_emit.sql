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
CREATE FUNCTION buslog.check_message(name text, payload jsonb, key text) RETURNS void
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
    -- A number of more than 4,000 digits needs a text of more than 4,000 bytes.
    IF size > 4000 AND jsonb_path_exists(payload, 'lax $.** ? (@.type() == "number" && (@ >= 1e4000 || @ <= -1e4000))') THEN
        PERFORM buslog.refuse('payload', 'has numbers of at most 4000 digits', 'a longer number', '4000 digits',
            'Send the number as text.');
    END IF;
END $$;

-- The business key: given, or the payload's field named in the settings (a dotted path).
CREATE FUNCTION buslog.key_of(payload jsonb, key_path text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(payload #> key_path) IN ('string', 'number')
                THEN nullif(payload #>> key_path, '') END
$$;

-- Many messages, one transaction. Arrays run in parallel; element i is message i.
--   delays (seconds from now), due_ats: when its deliveries are due; one that is not due yet is born scheduled.
--   dedupe_keys, dedupe_windows (seconds): a message whose dedupe key was used within its window is not stored again; its
--   row tells the first one's id and says `duplicate`.
--   by_worker, hosts, slots: the emitting process's worker (or null), the subscriptions it hosts, and how many
--   async or serial deliveries it can start at once. What it can start is born running, leased to it;
--   its sync deliveries always are, because the publisher waits for them.
-- One row a message, in the order given: which deliveries were born leased (parallel arrays with their
-- fences), and how many wait for some worker.
CREATE FUNCTION buslog.emit_many(
    names text[], payloads jsonb[], keys text[], correlation_ids uuid[], causation_ids uuid[],
    delays double precision[], due_ats timestamptz[], dedupe_keys text[], dedupe_windows double precision[],
    source text, actor text, by_worker bigint, hosts integer[], slots integer
) RETURNS TABLE (
    message_id uuid, kind buslog.kind, key text, emitted_at timestamptz, correlation_id uuid,
    routed smallint, leased integer[], fences bigint[], awaited integer[], duplicate boolean
) LANGUAGE plpgsql
-- Planning anew for each call took half the time of a lone emit.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    key_path text[];
    one record;
    known uuid;
    moments timestamptz[] := '{}';                   -- of the messages with a fresh dedupe key, by their place
    ids uuid[] := '{}';                              -- theirs; and the first ones' of the duplicates
    duplicates integer[] := '{}';                    -- places of the messages that are not stored again
BEGIN
    -- Workers make partitions three months ahead. Where none has run for that long, an emit still does not fail.
    IF (SELECT max(p.until_time) FROM buslog.partitions p) < clock_timestamp() + interval '7 days' THEN
        PERFORM buslog.ensure_partitions(clock_timestamp(), clock_timestamp() + interval '3 months');
    END IF;
    SELECT string_to_array(s.key_field, '.') INTO key_path FROM buslog.settings s;
    PERFORM buslog.check_message(u.name, u.payload, coalesce(u.key, buslog.key_of(u.payload, key_path)))
        FROM unnest(names, payloads, keys) AS u (name, payload, key);
    IF by_worker IS NOT NULL AND NOT EXISTS (
        SELECT FROM buslog.workers w WHERE w.id = by_worker AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()
    ) THEN
        by_worker := NULL;
    END IF;

    INSERT INTO buslog.names (name, kind, first_seen)
        SELECT DISTINCT u.name,
            CASE WHEN EXISTS (SELECT FROM buslog.routes r JOIN buslog.subscriptions s ON s.id = r.subscription_id
                              WHERE r.name = u.name AND s.kind = 'command')
                 THEN 'command' ELSE 'event' END::buslog.kind,
            clock_timestamp()
        FROM unnest(names) AS u (name)
        WHERE NOT EXISTS (SELECT FROM buslog.names n WHERE n.name = u.name)
        ORDER BY u.name                              -- two emits with the same new names wait and do not deadlock
        ON CONFLICT DO NOTHING;

    -- In the order of the keys, so that two emits with the same keys wait for each other and do not deadlock.
    FOR one IN
        SELECT u.dedupe_key, u.dedupe_window, u.ordinal::integer AS place
        FROM unnest(dedupe_keys, dedupe_windows) WITH ORDINALITY AS u (dedupe_key, dedupe_window, ordinal)
        WHERE u.dedupe_key IS NOT NULL ORDER BY u.dedupe_key, u.ordinal
    LOOP
        LOOP
            moments[one.place] := clock_timestamp();
            INSERT INTO buslog.dedupe AS d (dedupe_key, message_id, until)
                VALUES (one.dedupe_key, buslog.new_id(moments[one.place]),
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

    RETURN QUERY
    WITH said AS MATERIALIZED (
        SELECT t.*, coalesce(ids[t.ordinal], buslog.new_id(t.emitted_at)) AS id,
               greatest(t.due_at, t.emitted_at + make_interval(secs => t.delay)) AS due
        FROM (
            SELECT u.ordinal, u.name, u.payload, u.correlation_id, u.causation_id,
                   coalesce(u.key, buslog.key_of(u.payload, key_path)) AS key, u.delay, u.due_at,
                   coalesce(moments[u.ordinal], clock_timestamp()) AS emitted_at
            FROM unnest(names, payloads, keys, correlation_ids, causation_ids, delays, due_ats)
                 WITH ORDINALITY AS u (name, payload, key, correlation_id, causation_id, delay, due_at, ordinal)
            WHERE u.ordinal <> ALL (duplicates)
        ) AS t
    ), fan AS MATERIALIZED (
        SELECT said.ordinal, said.id, s.id AS subscription_id, s.kind, s.mode,
               CASE WHEN s.mode = 'serial' THEN
                   row_number() OVER (PARTITION BY said.ordinal, s.mode ORDER BY s.chain_order, s.position, s.id) END AS chain,
               CASE WHEN said.due > said.emitted_at THEN said.due END AS due_at,
               by_worker IS NOT NULL AND s.id = ANY (hosts) AND s.paused_at IS NULL
                   AND coalesce(said.due <= said.emitted_at, true) AS hosted
        FROM said
        JOIN buslog.routes r ON r.name = said.name
        JOIN buslog.subscriptions s ON s.id = r.subscription_id AND s.active
    ), placed AS MATERIALIZED (
        SELECT f.*,
               coalesce(f.chain, 1) = 1 AND f.hosted AND (f.mode = 'sync' OR
                   count(*) FILTER (WHERE coalesce(f.chain, 1) = 1 AND f.hosted AND f.mode <> 'sync')
                       OVER (ORDER BY f.ordinal, f.subscription_id) <= slots) AS leased
        FROM fan f
    ), delivered AS (
        INSERT INTO buslog.deliveries AS d
            (message_id, subscription_id, attempt, chain, state, ready_seq, worker_id, due_at, started_at)
        SELECT p.id, p.subscription_id, CASE WHEN p.leased THEN 1 ELSE 0 END, p.chain,
               CASE WHEN p.leased THEN 'running' WHEN p.chain > 1 THEN 'blocked'
                    WHEN p.due_at IS NOT NULL THEN 'scheduled' ELSE 'pending' END::buslog.state,
               CASE WHEN p.chain > 1 OR p.due_at IS NOT NULL THEN NULL ELSE nextval('buslog.ready_seq') END,
               CASE WHEN p.leased THEN by_worker END,
               CASE WHEN p.chain > 1 THEN NULL ELSE p.due_at END,
               CASE WHEN p.leased THEN clock_timestamp() END
        FROM placed p ORDER BY p.ordinal, p.subscription_id
        RETURNING d.message_id, d.subscription_id, d.state, d.ready_seq
    ), spread AS (
        SELECT p.ordinal, count(*) AS routed, bool_or(p.kind = 'command') AS is_command,
               array_agg(d.subscription_id ORDER BY p.subscription_id) FILTER (WHERE p.leased) AS leased,
               array_agg(d.ready_seq ORDER BY p.subscription_id) FILTER (WHERE p.leased) AS fences,
               array_agg(p.subscription_id) FILTER (WHERE p.mode = 'sync' AND NOT p.leased AND p.due_at IS NULL)
                   AS awaited
        FROM placed p JOIN delivered d ON d.message_id = p.id AND d.subscription_id = p.subscription_id
        GROUP BY p.ordinal
    ), stored AS (
        INSERT INTO buslog.messages AS m
            (id, kind, routed, emitted_at, correlation_id, causation_id, name, key, source, actor, payload)
        SELECT said.id, CASE WHEN x.is_command THEN 'command' ELSE 'event' END::buslog.kind,
               coalesce(x.routed, 0), said.emitted_at,
               coalesce(said.correlation_id,
                        (SELECT c.correlation_id FROM buslog.messages c WHERE c.id = said.causation_id), said.id),
               said.causation_id, said.name, said.key, source, actor, said.payload
        FROM said LEFT JOIN spread x USING (ordinal)
        RETURNING m.id, m.kind, m.correlation_id
    )
    SELECT coalesce(said.id, ids[o.place]), stored.kind, said.key, said.emitted_at, stored.correlation_id,
           coalesce(x.routed, 0)::smallint, coalesce(x.leased, '{}'), coalesce(x.fences, '{}'), coalesce(x.awaited, '{}'),
           said.id IS NULL
    FROM generate_subscripts(names, 1) AS o (place)
    LEFT JOIN said ON said.ordinal = o.place LEFT JOIN stored USING (id) LEFT JOIN spread x USING (ordinal)
    ORDER BY o.place;
END $$;

-- The public door for any language and any driver: commits and rolls back with its caller.
CREATE FUNCTION buslog.emit(
    name text, payload jsonb, key text DEFAULT NULL,
    correlation_id uuid DEFAULT NULL, causation_id uuid DEFAULT NULL,
    after interval DEFAULT NULL, at timestamptz DEFAULT NULL,
    dedupe_key text DEFAULT NULL, dedupe_window interval DEFAULT '1 day',
    source text DEFAULT 'sql', actor text DEFAULT NULL
) RETURNS uuid LANGUAGE sql AS $$
    SELECT message_id FROM buslog.emit_many(
        ARRAY[name], ARRAY[payload], ARRAY[key], ARRAY[correlation_id], ARRAY[causation_id],
        ARRAY[extract(epoch FROM after)::double precision], ARRAY[at],
        ARRAY[dedupe_key], ARRAY[extract(epoch FROM dedupe_window)::double precision], source, actor, NULL, '{}', 0)
$$;
COMMENT ON FUNCTION buslog.emit IS 'Put a message on the bus in the caller''s transaction. Returns its id, or with a dedupe key in use the first message''s.';
