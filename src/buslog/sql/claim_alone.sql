-- Takes one delivery that is to run with no neighbours. Called by store.claim_alone.
SELECT message_id, subscription_id, ready_seq, generation, attempt, charged, repeats, kind::text, name, key, payload,
       emitted_at, correlation_id, causation_id, traceparent
FROM buslog.claim_alone(%b::bigint, %b::integer[])
