-- Somebody came in, in the audit: once a login, however many tabs, reruns and reconnections there are. Called by people.
INSERT INTO buslog.operations (actor, verb, outcome)
VALUES (%(actor)s, 'log in', jsonb_build_object('how', %(how)s::text, 'role', %(role)s::text, 'login', %(login)s::text))
ON CONFLICT DO NOTHING
