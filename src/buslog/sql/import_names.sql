-- The names of the lines, first seen when history saw them. The last write of an import: a name that an emitter
-- waits for is held for a moment only. Called by history.
INSERT INTO buslog.names AS n (name, kind, first_seen)
SELECT l.name, CASE WHEN bool_or(l.kind = 'command') THEN 'command' ELSE 'event' END::buslog.kind, min(l.emitted_at)
FROM import_lines l GROUP BY l.name ORDER BY l.name
ON CONFLICT (name) DO UPDATE SET first_seen = excluded.first_seen WHERE n.first_seen > excluded.first_seen
