-- Partitions well ahead: an emit never fails for want of one. Called by store.upkeep.
SELECT buslog.ensure_partitions(clock_timestamp(), clock_timestamp() + interval '3 months')
