-- BUSLOG_MASK_FIELDS, where it is set, counts for every dashboard; a change of it is audited. Called by privacy and store.
WITH before AS (
    SELECT mask_fields FROM buslog.settings WHERE mask_fields <> %(fields)s::text[] FOR UPDATE
), changed AS (
    UPDATE buslog.settings s SET mask_fields = %(fields)s::text[] FROM before
    RETURNING before.mask_fields AS old, s.mask_fields AS new
)
INSERT INTO buslog.operations (actor, verb, outcome)
SELECT %(actor)s::text, 'mask', jsonb_build_object('from', old, 'to', new) FROM changed
