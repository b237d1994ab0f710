-- Names of which a delivery waits as failed, as far as it is folded: they come first where a name is chosen. Of each
-- name only the rows of all its subscriptions together are read. Called by insights.
SELECT n.name FROM buslog.names n
WHERE (SELECT sum(s.failed) FROM buslog.series s WHERE s.width = 86400 AND s.name = n.name AND s.subscription_id = 0) > 0
