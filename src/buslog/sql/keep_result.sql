-- What a subscriber returned after it had settled in its own transaction. Called by store.keep_result.
UPDATE buslog.ended_deliveries SET result = %(result)b::text::jsonb
WHERE message_id = %(message)b::uuid AND subscription_id = %(subscription)b::integer
  AND generation = %(generation)b::smallint AND state = 'succeeded' AND result IS NULL
