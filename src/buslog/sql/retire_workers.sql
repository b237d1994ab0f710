-- Retires workers whose lease expired; true when some retired worker's deliveries are to be rescued. Called by store.retire_workers.
SELECT buslog.retire_workers() > 0 OR EXISTS (SELECT FROM buslog.workers WHERE retired_at IS NOT NULL)
