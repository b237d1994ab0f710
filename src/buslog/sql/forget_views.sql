-- Nameless views that no address has been made of for a quarter. Called by store.upkeep.
DELETE FROM buslog.saved_views WHERE name IS NULL AND saved_at < clock_timestamp() - interval '90 days'
