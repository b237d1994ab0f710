-- How many live workers there are, or carry the code of a subscription. Called by alerting.
SELECT count(*) FROM buslog.workers w
WHERE w.retired_at IS NULL AND w.lease_until > clock_timestamp()
  AND (%(subscription)s::text IS NULL
       OR (SELECT s.id FROM buslog.subscriptions s WHERE s.subscription = %(subscription)s) = ANY (w.hosts))
