-- How the server would look for ready deliveries, as buslog.claim does. Called by doctor.
EXPLAIN (FORMAT JSON)
SELECT d.ctid FROM buslog.deliveries d
WHERE d.subscription_id = 1 AND d.state = 'pending' AND NOT d.alone ORDER BY d.ready_seq LIMIT 20
