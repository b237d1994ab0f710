-- What is leased to a worker. Called by store.held.
SELECT message_id, subscription_id, ready_seq, generation, attempt, repeats, kind::text, name, key, payload, emitted_at,
       correlation_id, causation_id
FROM buslog.held(%b::bigint)
