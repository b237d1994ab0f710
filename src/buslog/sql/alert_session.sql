-- The session that may hold the lock ends when its process stands still, in a look or between two, or is cut off. Called by
-- alerting.
SELECT set_config('idle_session_timeout', %(idle)s, false), set_config('idle_in_transaction_session_timeout', %(idle)s, false),
       set_config('statement_timeout', '10s', false),
       set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false)
