-- A view under a name; the same name of the same person is saved anew. Called by views.
INSERT INTO buslog.saved_views AS v (name, filter, who, shared) VALUES (%b, %b, %b, %b)
ON CONFLICT (who, name) WHERE name IS NOT NULL
    DO UPDATE SET filter = excluded.filter, shared = excluded.shared, saved_at = excluded.saved_at
RETURNING id
