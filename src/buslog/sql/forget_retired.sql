-- Retired workers without deliveries are forgotten. Called by store.forget_retired, after a rescue.
DELETE FROM buslog.workers w
WHERE w.retired_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM buslog.deliveries d WHERE d.state = 'running' AND d.worker_id = w.id)
