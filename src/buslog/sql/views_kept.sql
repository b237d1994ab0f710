-- All saved views, to be looked through for a key. Called by privacy.erase.
SELECT v.id, v.filter, v.name IS NOT NULL FROM buslog.saved_views v ORDER BY v.id FOR UPDATE
