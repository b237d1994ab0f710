-- Deliveries of workers that are gone. Called by store.orphans.
SELECT message_id, subscription_id, ready_seq, attempt, policy, worker FROM buslog.orphans(%b::integer)
