-- Every verb that was ever done, by a loose scan of the index. Called by insights.
WITH RECURSIVE each AS (
    (SELECT verb FROM buslog.operations ORDER BY verb LIMIT 1)
  UNION ALL
    SELECT (SELECT o.verb FROM buslog.operations o WHERE o.verb > each.verb ORDER BY o.verb LIMIT 1)
    FROM each WHERE each.verb IS NOT NULL
)
SELECT verb FROM each WHERE verb IS NOT NULL LIMIT 200
