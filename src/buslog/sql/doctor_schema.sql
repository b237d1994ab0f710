-- Whether there is a schema of ours, and whether this role may look into it. Called by doctor.
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'buslog'),
       coalesce((SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = 'buslog'), false)
