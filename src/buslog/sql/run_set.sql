-- A run's items counted: what they were, what the canary has become, why some are skipped. Called by insights.
SELECT i.was::text, i.state::text, i.is_canary, i.superseded, i.reason, count(*)
FROM buslog.replay_items i WHERE i.replay_id = %(run)s
GROUP BY 1, 2, 3, 4, 5
