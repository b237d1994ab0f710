-- The role of somebody who logs in; NULL: never seen. Called by desk.
SELECT buslog.held_role(%b::text)::text
