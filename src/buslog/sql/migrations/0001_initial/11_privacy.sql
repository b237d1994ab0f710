-- Privacy, audit and duty. What is masked is decided where it is read (masking.py); what is erased is erased here.

ALTER TABLE buslog.settings ADD COLUMN mask_fields text[] NOT NULL DEFAULT '{}'; -- BUSLOG_MASK_FIELDS, for every dashboard

ALTER TABLE buslog.messages ADD COLUMN erased_at timestamptz; -- its payload, errors and results are gone
CREATE INDEX messages_erased ON buslog.messages (id) WHERE erased_at IS NOT NULL;

-- No run sends again what has no payload any more: it is skipped in the preview.
CREATE FUNCTION buslog.skip_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE buslog.replay_items i SET state = 'skipped', reason = 'erased'
    FROM frozen f JOIN buslog.replays r ON r.id = f.replay_id AND r.verb = 'replay'
                  JOIN buslog.messages m ON m.id = f.message_id AND m.erased_at IS NOT NULL
    WHERE i.replay_id = f.replay_id AND i.message_id = f.message_id AND i.subscription_id = f.subscription_id;
    RETURN NULL;
END $$;
CREATE TRIGGER skip_erased AFTER INSERT ON buslog.replay_items REFERENCING NEW TABLE AS frozen
    FOR EACH STATEMENT EXECUTE FUNCTION buslog.skip_erased();

-- The audit is read newest first: all of it, one person's, one verb's, one key's.
CREATE INDEX operations_at ON buslog.operations (at, id);
CREATE INDEX operations_actor ON buslog.operations (actor, at, id);
CREATE INDEX operations_verb ON buslog.operations (verb, at, id);
CREATE INDEX operations_key ON buslog.operations ((outcome ->> 'key')) WHERE outcome ? 'key';

-- Who is, and was, on duty. At most one person now.
CREATE TABLE buslog.duty (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    who    text NOT NULL,
    since  timestamptz NOT NULL DEFAULT clock_timestamp(),
    until  timestamptz,                              -- null: now
    note   text,                                     -- to the next, left at the end
    CHECK (until >= since)
);
CREATE UNIQUE INDEX duty_now ON buslog.duty ((until IS NULL)) WHERE until IS NULL;

-- One step of an erasure: of a key's messages after one id and up to another, at most `places`, oldest first. Payload,
-- errors and results go; ids, times and states stay. `last`: the last message looked at, null when there was none
-- left; open: those passed over, because somebody has sent a delivery of them again meanwhile. Called by privacy.erase.
CREATE FUNCTION buslog.erase(
    of_key text, after uuid, until uuid, places integer,
    OUT last uuid, OUT messages integer, OUT deliveries integer, OUT attempts integer, OUT open integer
) LANGUAGE plpgsql AS $$
DECLARE
    looked uuid[];
    chosen uuid[];
    moment timestamptz := date_trunc('second', clock_timestamp());
    mark text := 'erased ' || to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
    gone jsonb := jsonb_build_object('erased', to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
BEGIN
    messages := 0; deliveries := 0; attempts := 0; open := 0;
    SELECT array_agg(f.id), (array_agg(f.id ORDER BY f.id DESC))[1] INTO looked, last FROM (
        SELECT m.id FROM buslog.messages m
        WHERE m.key = of_key AND m.id > after AND m.id <= until AND m.erased_at IS NULL ORDER BY m.id LIMIT places
    ) AS f;
    IF looked IS NULL THEN
        RETURN;
    END IF;
    PERFORM buslog.lock_chains(looked);              -- no replay in between
    SELECT array_agg(l.id) INTO chosen FROM unnest(looked) AS l (id)
        WHERE NOT EXISTS (SELECT FROM buslog.deliveries d WHERE d.message_id = l.id);
    open := cardinality(looked) - coalesce(cardinality(chosen), 0);
    UPDATE buslog.messages m SET payload = gone, erased_at = moment WHERE m.id = ANY (chosen) AND m.erased_at IS NULL;
    GET DIAGNOSTICS messages = ROW_COUNT;
    UPDATE buslog.ended_deliveries e
        SET error = CASE WHEN e.error IS NOT NULL THEN mark END, result = CASE WHEN e.result IS NOT NULL THEN gone END
        WHERE e.message_id = ANY (chosen) AND (e.error IS NOT NULL OR e.result IS NOT NULL);
    GET DIAGNOSTICS deliveries = ROW_COUNT;
    UPDATE buslog.attempts a SET error = mark, traceback = NULL WHERE a.message_id = ANY (chosen);
    GET DIAGNOSTICS attempts = ROW_COUNT;
    DELETE FROM buslog.message_refs r WHERE r.message_id = ANY (chosen);
    UPDATE buslog.notes n SET note = mark
        WHERE (n.about = 'message' AND n.subject = ANY (chosen::text[])) OR (n.about = 'key' AND n.subject = of_key);
    -- A look at them that was frozen for a run would send what is left.
    DELETE FROM buslog.replays r WHERE r.state = 'previewed'
        AND EXISTS (SELECT FROM buslog.replay_items i WHERE i.replay_id = r.id AND i.message_id = ANY (chosen));
END $$;

-- What else says a key when its messages are gone: alerts that named it, patterns of errors and what was noted about them.
-- A key of one or two characters is looked for in the failure groups of its own messages alone: elsewhere it is a word.
-- Called by privacy.erase, in the transaction of its end.
CREATE FUNCTION buslog.erase_mentions(of_key text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    told text := ' ' || of_key || ')';               -- as texts.new_groups says it
    word text := '(?<!\w)' || regexp_replace(of_key, '([^\w\s])', '\\\1', 'g') || '(?!\w)';
    named bigint[] := ARRAY(SELECT a.id FROM buslog.alerts a
                            WHERE a.groups @> jsonb_build_array(jsonb_build_object('key', of_key)));
BEGIN
    UPDATE buslog.alert_notices n SET body = replace(n.body, told, ' erased)') WHERE n.alert_id = ANY (named);
    UPDATE buslog.alerts a SET what = replace(a.what, told, ' erased)'),
        groups = (SELECT jsonb_agg(CASE WHEN g.value ->> 'key' = of_key THEN g.value || '{"key": null}' ELSE g.value END
                                   ORDER BY g.ordinality)
                  FROM jsonb_array_elements(a.groups) WITH ORDINALITY AS g)
        WHERE a.id = ANY (named);
    UPDATE buslog.failure_groups g
        SET pattern = regexp_replace(g.pattern, word, '…', 'g'), note = regexp_replace(g.note, word, '…', 'g')
        WHERE (g.pattern ~ word OR g.note ~ word)
          AND (length(of_key) > 2 OR EXISTS (
               SELECT FROM buslog.failure_keys k WHERE k.fingerprint = g.fingerprint AND k.key = of_key));
END $$;
