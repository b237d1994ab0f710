-- One saved view, named or not. Called by insights.
SELECT id, name, filter, who, shared, saved_at FROM buslog.saved_views WHERE id = %(id)s
