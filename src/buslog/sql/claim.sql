-- Takes ready deliveries. Called by store.claim.
SELECT message_id, subscription_id, ready_seq, generation, attempt, repeats, kind::text, name, key, payload, emitted_at,
       correlation_id, causation_id
FROM buslog.claim(%b::bigint, %b::integer[], %b::integer)
