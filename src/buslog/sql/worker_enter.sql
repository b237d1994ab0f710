-- A worker comes in with a lease; returns its id. Called by store.enter.
INSERT INTO buslog.workers (worker, version, hosts, lease, lease_until)
SELECT v.*, clock_timestamp() + make_interval(secs => v.lease)
FROM (VALUES (%b::text, %b::text, %b::integer[], %b::float8)) AS v (worker, version, hosts, lease)
RETURNING id
