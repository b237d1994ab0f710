-- The tables that change all the time: storage parameters, live and dead rows, last vacuum by the server itself.
-- Called by doctor.
SELECT c.relname::text, coalesce(c.reloptions, '{}')::text[], coalesce(s.n_live_tup, 0), coalesce(s.n_dead_tup, 0),
       extract(epoch FROM clock_timestamp() - s.last_autovacuum)::float8
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'buslog'
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind = 'r' AND c.relname = ANY (%(tables)s)
ORDER BY c.relname
