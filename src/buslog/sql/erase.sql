-- One step of an erasure, a transaction of its own; see 11_privacy.sql. Called by privacy.erase.
SELECT * FROM buslog.erase(%(key)s::text, %(after)s::uuid, %(until)s::uuid, %(places)s::integer)
