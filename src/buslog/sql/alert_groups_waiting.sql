-- Whether a failure of these groups waits for a person, and whether one of them nobody has acknowledged. Called by alerting.
SELECT coalesce(bool_or(true), false), coalesce(bool_or(g.status IS DISTINCT FROM 'acknowledged'), false)
FROM jsonb_to_recordset(%(groups)s::text::jsonb) AS f (fingerprint text, first_message uuid)
LEFT JOIN buslog.failure_groups g ON g.fingerprint = f.fingerprint
WHERE g.status IS DISTINCT FROM 'resolved'
  AND EXISTS (SELECT 1 FROM buslog.failures w WHERE w.fingerprint = f.fingerprint AND w.message_id >= f.first_message)
