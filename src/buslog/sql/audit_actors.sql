-- Everybody who ever did anything, by a loose scan of the index. Called by insights.
WITH RECURSIVE each AS (
    (SELECT actor FROM buslog.operations ORDER BY actor LIMIT 1)
  UNION ALL
    SELECT (SELECT o.actor FROM buslog.operations o WHERE o.actor > each.actor ORDER BY o.actor LIMIT 1)
    FROM each WHERE each.actor IS NOT NULL
)
SELECT actor FROM each WHERE actor IS NOT NULL LIMIT 500
