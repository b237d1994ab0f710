-- Connections of clients, how many the server takes, and how many of those it keeps for superusers. Called by doctor.
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' OR backend_type IS NULL),
       current_setting('max_connections')::integer,
       current_setting('superuser_reserved_connections')::integer
           + current_setting('reserved_connections', true)::integer
