-- Which of the deliveries that a worker runs are no longer its own. Called by store.taken_away.
SELECT message_id, subscription_id, ready_seq FROM buslog.taken_away(%b::uuid[], %b::integer[], %b::bigint[])
