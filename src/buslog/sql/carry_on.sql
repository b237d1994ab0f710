-- One step of a stored run. Called by store.carry_on; see 09_replays.sql.
SELECT run, moved, next_in FROM buslog.carry_on(%b::integer)
