-- Called by operations.replay; see 06_operations.sql.
SELECT message_id, subscription_id FROM buslog.replay(%b::uuid[], %b::integer[])
