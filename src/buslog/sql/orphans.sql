-- Deliveries of workers that are gone. Called by store.orphans.
SELECT message_id, subscription_id, ready_seq, charged, policy, worker FROM buslog.orphans(%b::integer)
