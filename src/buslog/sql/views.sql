-- The named views that somebody sees: their own, and what others share. Called by insights.
SELECT id, name, filter, who, shared, saved_at FROM buslog.saved_views
WHERE name IS NOT NULL AND (who = %(who)s OR shared)
ORDER BY who <> %(who)s, lower(name)
