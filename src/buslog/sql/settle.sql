-- Records outcomes; returns those that were not stale. Called by store.settle.
SELECT message_id, subscription_id
FROM buslog.settle(%b::uuid[], %b::integer[], %b::bigint[], %b::text[], %b::float8[], %b::text[]::jsonb[],
                   %b::text[], %b::text[], %b::text[], %b::text[], %b::boolean[], %b::text, %b::text, %b::boolean)
