-- The first line without a key of its own whose payload holds an unfit one. Called by history.
SELECT l.line, s.key_field, length(k.key)
FROM import_lines l
CROSS JOIN buslog.settings s
CROSS JOIN LATERAL buslog.key_of(l.document -> 'payload', string_to_array(s.key_field, '.')) AS k (key)
WHERE l.key IS NULL AND (length(k.key) > 200 OR k.key ~ '[[:cntrl:]]')
ORDER BY l.line LIMIT 1
