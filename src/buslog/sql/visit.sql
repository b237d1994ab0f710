-- Somebody looks at the Overview; when the visit before this one ended. Called by visits.look.
SELECT buslog.visit(%(person)s::text)
