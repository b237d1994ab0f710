-- The role that somebody was given by hand. Called by people.set_role.
SELECT given::text FROM buslog.users WHERE person = %b FOR UPDATE
