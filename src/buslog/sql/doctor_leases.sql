-- Workers whose lease has lapsed: for how many seconds, and how many deliveries still run under them.
-- A null worker: deliveries of a worker whose row is gone. Called by doctor.
SELECT w.worker, extract(epoch FROM clock_timestamp() - w.lease_until)::float8,
       (SELECT count(*) FROM buslog.deliveries d WHERE d.worker_id = w.id) AS running
FROM buslog.workers w
WHERE w.lease_until < clock_timestamp()
UNION ALL
SELECT NULL, NULL, count(*) FROM buslog.deliveries d
WHERE d.state = 'running' AND NOT EXISTS (SELECT FROM buslog.workers w WHERE w.id = d.worker_id)
HAVING count(*) > 0
ORDER BY running DESC
LIMIT 20
