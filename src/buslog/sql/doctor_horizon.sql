-- Who keeps vacuum from removing dead rows of this database, oldest first: (what, who, application, user, seconds).
-- Transactions of other databases do not; replication slots that keep rows do, wherever they were made.
-- Called by doctor.
SELECT CASE WHEN state LIKE 'idle in transaction%%' THEN 'idle in transaction' ELSE 'transaction' END AS what,
       'process ' || pid AS who, coalesce(nullif(application_name, ''), 'no name') AS application, usename::text,
       extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
  AND backend_type = 'client backend'
  AND extract(epoch FROM clock_timestamp() - xact_start) >= %(seconds)s::float8
UNION ALL
SELECT 'prepared transaction', gid, 'two-phase commit', owner::text,
       extract(epoch FROM clock_timestamp() - prepared)::float8
FROM pg_prepared_xacts
WHERE database = current_database() AND extract(epoch FROM clock_timestamp() - prepared) >= %(seconds)s::float8
UNION ALL
SELECT CASE WHEN active THEN 'replication slot' ELSE 'unused replication slot' END, slot_name::text,
       coalesce(plugin::text, slot_type), NULL, NULL
FROM pg_replication_slots
WHERE NOT active OR xmin IS NOT NULL
ORDER BY seconds DESC NULLS LAST
LIMIT 20
