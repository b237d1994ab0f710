-- Workers whose lease holds, with what they host and run. Called by insights.
SELECT w.worker, w.version, w.started_at,
       ARRAY(SELECT s.subscription FROM buslog.subscriptions s WHERE s.id = ANY (w.hosts) ORDER BY s.subscription),
       (SELECT count(*) FROM buslog.deliveries d WHERE d.worker_id = w.id)
FROM buslog.workers w
WHERE w.retired_at IS NULL AND w.lease_until > clock_timestamp()
ORDER BY w.started_at
LIMIT 200
