-- Records outcomes; returns the fences of those that were not stale. Called by store.settle.
SELECT buslog.settle(%b::uuid[], %b::text::integer[], %b::text::bigint[], %b::text[], %b::float8[], %b::text[]::jsonb[],
                     %b::text[], %b::text[], %b::text[], %b::text[], %b::boolean[], %b::text, %b::text, %b::boolean)
