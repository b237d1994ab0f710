-- Adds what has become visible to the series; returns whether there is more. Called by store.fold; see 08_series.sql.
SELECT buslog.fold_series(%b::integer)
