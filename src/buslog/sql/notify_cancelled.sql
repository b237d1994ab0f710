-- Tells workers to stop what was cancelled under them, once this transaction commits. Called by operations.cancel.
SELECT pg_notify('buslog_cancelled', '')
