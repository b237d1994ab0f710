-- What the messages of a preview have caused, by name. Called by replays.preview; see 09_replays.sql.
SELECT name, kind::text, messages FROM buslog.caused_by(%b::bigint)
