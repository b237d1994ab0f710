-- The server's settings that the promises rest on, and its time. Called by doctor.
SELECT current_setting('server_version_num')::integer, current_setting('fsync'), current_setting('full_page_writes'),
       current_setting('synchronous_commit'), current_setting('autovacuum'), current_setting('track_counts'),
       extract(epoch FROM clock_timestamp())::float8
