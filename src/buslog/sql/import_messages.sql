-- Into the log what is not there yet; the ids are made from the lines, so a line that is known conflicts. In the
-- order of the ids: two imports of one file wait for each other instead of deadlocking. Called by history.
INSERT INTO buslog.messages
    (id, kind, routed, emitted_at, correlation_id, causation_id, name, key, source, payload)
SELECT l.id, l.kind, l.routed, l.emitted_at, coalesce(l.correlation_id, l.id), l.causation_id, l.name,
       coalesce(l.key, buslog.key_of(l.document -> 'payload', string_to_array(s.key_field, '.'))),
       'import', l.document -> 'payload'
FROM import_lines l CROSS JOIN buslog.settings s
ORDER BY l.id
ON CONFLICT DO NOTHING
