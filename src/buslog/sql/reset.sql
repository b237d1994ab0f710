-- What a subscriber has left in the session of its transaction's connection is gone. Called by db, before the connection
-- is lent to the next.
SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all()
