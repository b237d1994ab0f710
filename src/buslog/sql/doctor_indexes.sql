-- Indexes of ours that the planner may not use: a build of theirs broke off. Called by doctor.
SELECT i.indexrelid::regclass::text
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'buslog' AND NOT (i.indisvalid AND i.indisready)
ORDER BY 1
