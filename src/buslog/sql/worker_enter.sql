-- A worker comes in with a lease; returns its id. Called by store.enter.
INSERT INTO buslog.workers (worker, version, hosts, lease_until)
VALUES (%b, %b, %b::integer[], clock_timestamp() + make_interval(secs => %b::float8))
RETURNING id
