-- Called by operations.cancel; see 06_operations.sql.
SELECT message_id, subscription_id FROM buslog.cancel(%b::uuid[], %b::integer[])
