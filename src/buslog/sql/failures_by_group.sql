-- How many failures of a time each group has now, or the one that is asked for, counted no further than `places`: from one
-- group's entries in the index to the next group's. Called by insights.
WITH RECURSIVE known AS (
    (SELECT f.fingerprint FROM buslog.failures f
     WHERE %(group)s::text IS NULL OR f.fingerprint = %(group)s ORDER BY f.fingerprint LIMIT 1)
  UNION ALL
    SELECT (SELECT f.fingerprint FROM buslog.failures f WHERE f.fingerprint > k.fingerprint ORDER BY f.fingerprint LIMIT 1)
    FROM known k WHERE k.fingerprint IS NOT NULL AND %(group)s::text IS NULL
), bounds AS MATERIALIZED (
    SELECT buslog.id_floor(coalesce(%(since)s::timestamptz, '1970-01-01Z')) AS low,
           buslog.id_floor(coalesce(%(until)s::timestamptz, '2200-01-01Z')) AS high
)
SELECT k.fingerprint, n.failures
FROM known k CROSS JOIN LATERAL (
    SELECT count(*) AS failures FROM (
        SELECT FROM buslog.failures f
        WHERE f.fingerprint = k.fingerprint AND f.message_id >= (SELECT low FROM bounds) AND f.message_id < (SELECT high FROM bounds)
        LIMIT %(places)s
    ) AS counted
) AS n
WHERE n.failures > 0
