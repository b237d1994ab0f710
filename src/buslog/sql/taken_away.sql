-- The fences of those deliveries that a worker runs and that are no longer its own. Called by store.taken_away.
SELECT ready_seq FROM buslog.taken_away(%b::uuid[], %b::integer[], %b::bigint[])
