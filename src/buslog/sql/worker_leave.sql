-- A worker leaves, its deliveries settled or released. Called by store.leave.
DELETE FROM buslog.workers WHERE id = %b::bigint
