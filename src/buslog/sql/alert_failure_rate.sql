-- How many deliveries failed and succeeded in the last minutes, of a subscription or of all. Called by alerting.
SELECT coalesce(sum(c.failed), 0)::bigint, coalesce(sum(c.succeeded), 0)::bigint
FROM buslog.alert_counts c
WHERE c.at > clock_timestamp() - make_interval(secs => %(window)s)
  AND c.subscription_id = CASE WHEN %(subscription)s::text IS NULL THEN 0
      ELSE (SELECT s.id FROM buslog.subscriptions s WHERE s.subscription = %(subscription)s) END
