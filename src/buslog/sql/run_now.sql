-- Called by operations.run_now; see 06_operations.sql.
SELECT message_id, subscription_id FROM buslog.run_now(%b::uuid[], %b::integer[])
