-- Adds what has failed to the failure groups; returns whether there is more. Called by store.fold_failures and groups;
-- see 12_failure_groups.sql.
SELECT buslog.fold_failures(%b::integer)
