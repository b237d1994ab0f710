-- How many items of a preview a newer success has overtaken. Called by replays.preview; see 09_replays.sql.
SELECT buslog.mark_superseded(%b::bigint)
