-- What is leased to a worker. Called by store.held.
SELECT message_id, subscription_id, ready_seq, generation, attempt, charged, repeats, kind::text, name, key, payload,
       emitted_at, correlation_id, causation_id, traceparent
FROM buslog.held(%b::bigint)
