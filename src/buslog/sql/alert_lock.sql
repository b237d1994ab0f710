-- Whether this session is the one that looks at the rules. A session that ends gives it free. Called by alerting.
SELECT pg_try_advisory_lock(hashtext('buslog.alerts'))
