-- A nameless view; the same filter is kept once, and is young again when it is used. Called by views.
INSERT INTO buslog.saved_views AS v (filter, who) VALUES (%b, %b)
ON CONFLICT (md5(filter)) WHERE name IS NULL DO UPDATE SET saved_at = excluded.saved_at
RETURNING id
