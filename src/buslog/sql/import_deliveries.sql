-- How the deliveries of the lines ended. Those of a known line are there already. Called by history.
INSERT INTO buslog.ended_deliveries
    (message_id, subscription_id, generation, attempts, repeats, state, finished_at, error_type, error)
SELECT l.id, s.id, 1, d.attempts, 0, d.state::buslog.state, d.finished_at, d.error_type, d.error
FROM import_lines l
CROSS JOIN LATERAL jsonb_to_recordset(l.deliveries)
    AS d (subscription text, state text, attempts smallint, finished_at timestamptz, error_type text, error text)
JOIN buslog.subscriptions s ON s.subscription = d.subscription
ORDER BY l.id, s.id
ON CONFLICT DO NOTHING
