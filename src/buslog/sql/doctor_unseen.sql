-- Processes of others whose doings this role may not see. Called by doctor.
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type IS NULL AND pid <> pg_backend_pid()
