-- The set of a run, as frozen. Called by replays.preview; see 09_replays.sql.
SELECT buslog.freeze(%b::bigint, %b::uuid[], %b::integer[], %b::smallint[], %b::text[])
