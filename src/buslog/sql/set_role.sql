-- Gives somebody a role by hand, or takes it back (NULL). Called by people.set_role.
INSERT INTO buslog.users AS u (person, given) VALUES (%(person)s, %(role)s::text::buslog.role)
ON CONFLICT (person) DO UPDATE SET given = EXCLUDED.given
