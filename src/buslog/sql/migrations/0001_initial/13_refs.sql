-- message_refs: more values to find a message by: container, booking, B/L. Filled from the payloads by a fold that
-- workers do, so that an emit pays nothing for it. Why: docs/decisions/0017-search.md.

-- Dotted paths in the payload, an element `*` for each of an array: containers.*.number. Empty: no refs are kept.
ALTER TABLE buslog.settings ADD COLUMN ref_fields text[] NOT NULL DEFAULT '{}';

CREATE TABLE buslog.message_refs (
    message_id uuid NOT NULL,
    ref        text NOT NULL                         -- trimmed, as it was written
) PARTITION BY RANGE (message_id);
CREATE UNIQUE INDEX message_refs_message ON buslog.message_refs (message_id, lower(ref));
-- Looked for without regard to case, the newest message first.
CREATE INDEX message_refs_ref ON buslog.message_refs (lower(ref), message_id);

-- Partitions like those of messages, made with them.
CREATE FUNCTION buslog.add_refs_partition(of buslog.partitions) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    child text := 'message_refs_' || of.suffix;
BEGIN
    EXECUTE format('CREATE TABLE buslog.%I (LIKE buslog.message_refs INCLUDING ALL)', child);
    EXECUTE format('ALTER TABLE buslog.message_refs ATTACH PARTITION buslog.%I FOR VALUES FROM (%L) TO (%L)',
                   child, buslog.id_floor(of.from_time), buslog.id_floor(of.until_time));
END $$;
SELECT buslog.add_refs_partition(p) FROM buslog.partitions p;

CREATE FUNCTION buslog.add_refs_partition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM buslog.add_refs_partition(NEW);
    RETURN NULL;
END $$;
CREATE TRIGGER refs_partition AFTER INSERT ON buslog.partitions
    FOR EACH ROW EXECUTE FUNCTION buslog.add_refs_partition();

-- Which messages have been looked through: all that was visible in the snapshot `seen`. See 08_series.sql.
CREATE TABLE buslog.refs_state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen     pg_snapshot,                            -- null: no refs are kept
    server   bigint                                  -- whose transactions it speaks of
);
INSERT INTO buslog.refs_state DEFAULT VALUES;

-- From now on. What was said before is the business of backfill_refs. Returns whether it is a change.
CREATE FUNCTION buslog.set_ref_fields(fields text[]) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE buslog.settings SET ref_fields = fields WHERE ref_fields <> fields;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE buslog.refs_state SET seen = CASE WHEN fields <> '{}' THEN coalesce(seen, pg_current_snapshot()) END,
                                 server = CASE WHEN fields <> '{}' THEN coalesce(server, buslog.server()) END;
    RETURN true;
END $$;

-- containers.*.number → lax $."containers"[*]."number"
CREATE FUNCTION buslog.ref_path(field text) RETURNS jsonpath LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('lax $' || string_agg(CASE part WHEN '*' THEN '[*]' ELSE '.' || to_jsonb(part)::text END, '' ORDER BY place))::jsonpath
    FROM unnest(string_to_array(field, '.')) WITH ORDINALITY AS p (part, place)
$$;

-- The refs of a payload: texts and numbers, trimmed, of 1 to 200 printable characters, each once whatever its case; the
-- first 20 of them.
CREATE FUNCTION buslog.refs_of(payload jsonb, paths jsonpath[]) RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 3 AS $$
    SELECT f.ref FROM (
        SELECT DISTINCT ON (lower(w.ref)) w.ref, p.place * 100000 + v.place AS place
        FROM unnest(paths) WITH ORDINALITY AS p (path, place),
             jsonb_path_query(payload, p.path, silent => true) WITH ORDINALITY AS v (value, place),
             LATERAL btrim(v.value #>> '{}', E' \t\r\n') AS w (ref)
        WHERE jsonb_typeof(v.value) IN ('string', 'number')
        ORDER BY lower(w.ref), p.place, v.place
    ) AS f
    WHERE length(f.ref) BETWEEN 1 AND 200 AND f.ref !~ '[[:cntrl:]]'
    ORDER BY f.place LIMIT 20
$$;

-- For filters: the planner reads its answer, and sees what the index is asked for.
CREATE FUNCTION buslog.lower_all(texts text[]) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_agg(lower(t)) FROM unnest(texts) AS t
$$;

CREATE FUNCTION buslog.ref_paths() RETURNS jsonpath[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(buslog.ref_path(f.field) ORDER BY f.place)
    FROM buslog.settings s, unnest(s.ref_fields) WITH ORDINALITY AS f (field, place)
$$;

-- Finds the refs of what has become visible since the last fold, about `places` messages: whole transactions, in the
-- order of their numbers. Returns whether there is more. One process at a time; any other returns at once.
CREATE FUNCTION buslog.fold_refs(places integer) RETURNS boolean LANGUAGE plpgsql
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    state record;
    paths jsonpath[] := buslog.ref_paths();
    step bigint;
    next_seen pg_snapshot;
    late xid8[];
    looked_at bigint;
BEGIN
    IF paths IS NULL OR NOT pg_try_advisory_xact_lock(hashtext('buslog.refs')) THEN
        RETURN false;
    END IF;
    -- In a statement of its own after the lock: the snapshot is not older than the last fold.
    SELECT s.seen, s.server IS DISTINCT FROM buslog.server()
                   OR pg_snapshot_xmax(s.seen) > pg_snapshot_xmax(pg_current_snapshot()) AS is_foreign,
           pg_current_snapshot() AS current
        INTO state FROM buslog.refs_state s FOR UPDATE;
    IF state.seen IS NULL OR state.is_foreign THEN   -- restored from another server, whose numbers say nothing here
        UPDATE buslog.refs_state SET seen = state.current, server = buslog.server();
        RETURN false;
    END IF;

    step := least((SELECT m.xid::text::bigint + 1 FROM buslog.messages m WHERE m.xid >= pg_snapshot_xmax(state.seen)
                   ORDER BY m.xid OFFSET places LIMIT 1),
                  pg_snapshot_xmax(state.current)::text::bigint);
    SELECT format('%s:%s:%s', least(step, pg_snapshot_xmin(state.current)::text::bigint), step,
                  string_agg(x::text, ',' ORDER BY x))
        INTO next_seen FROM pg_snapshot_xip(state.current) AS x WHERE x < step::text::xid8;
    late := ARRAY(SELECT pg_snapshot_xip(state.seen));

    WITH fresh AS MATERIALIZED (
        SELECT m.id, m.payload FROM buslog.messages m
        WHERE (m.xid >= pg_snapshot_xmax(state.seen) AND m.xid < step::text::xid8 OR m.xid = ANY (late))
          AND pg_visible_in_snapshot(m.xid, next_seen)
    ), found AS (
        INSERT INTO buslog.message_refs (message_id, ref)
        SELECT f.id, r.ref FROM fresh f, buslog.refs_of(f.payload, paths) AS r (ref)
        ON CONFLICT DO NOTHING
    )
    SELECT count(*) INTO looked_at FROM fresh;
    -- Where nothing was said the state is left as it is: a bus at rest writes nothing.
    IF looked_at > 0 OR step < pg_snapshot_xmax(state.current)::text::bigint THEN
        UPDATE buslog.refs_state SET seen = next_seen;
    END IF;
    RETURN step < pg_snapshot_xmax(state.current)::text::bigint;
END $$;

-- Finds the refs of the next `places` messages after one, in the order of their ids. Returns how many messages it
-- looked at, how many refs are new, and the last message.
CREATE FUNCTION buslog.backfill_refs(
    after uuid, places integer, OUT messages bigint, OUT refs bigint, OUT last uuid
) LANGUAGE plpgsql AS $$
DECLARE
    paths jsonpath[] := buslog.ref_paths();
BEGIN
    WITH batch AS MATERIALIZED (
        SELECT m.id, m.payload FROM buslog.messages m WHERE m.id > after ORDER BY m.id LIMIT places
    ), found AS (
        INSERT INTO buslog.message_refs (message_id, ref)
        SELECT b.id, r.ref FROM batch b, buslog.refs_of(b.payload, paths) AS r (ref)
        ON CONFLICT DO NOTHING RETURNING 1
    )
    SELECT count(*), (SELECT count(*) FROM found), (SELECT b.id FROM batch b ORDER BY b.id DESC LIMIT 1)
        INTO messages, refs, last FROM batch;
END $$;
