-- Finds the refs of what has become visible; returns whether there is more. Called by store.fold_refs; see 13_refs.sql.
SELECT buslog.fold_refs(%b::integer)
