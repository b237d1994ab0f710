-- Whoever has a role or has logged in, those seen last first; one alone, or all, at most so many. Called by insights.people.
SELECT person, name, coalesce(given, claimed)::text, given::text, claimed::text, first_seen, last_seen
FROM buslog.users WHERE %(person)s::text IS NULL OR person = %(person)s
ORDER BY last_seen DESC NULLS LAST, person LIMIT %(places)s
