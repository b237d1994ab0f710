-- What the messages of a set have caused, by name. Called by replays.preview; see 09_replays.sql.
SELECT name, kind::text, messages_caused FROM buslog.caused_by(%b::uuid[], %b::integer[])
