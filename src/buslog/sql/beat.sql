-- Renews a lease. No row: the worker was retired and must enter anew. Called by lease.Beat, from a thread of its own.
UPDATE buslog.workers SET lease_until = clock_timestamp() + make_interval(secs => %b::float8), hosts = %b::integer[]
WHERE id = %b::bigint AND retired_at IS NULL
RETURNING id
