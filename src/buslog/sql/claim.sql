-- Takes ready deliveries. Called by store.claim.
SELECT message_id, subscription_id, ready_seq, generation, attempt, charged, repeats, kind::text, name, key, payload,
       emitted_at, correlation_id, causation_id, traceparent
FROM buslog.claim(%b::bigint, %b::integer[], %b::bigint[], %b::integer)
