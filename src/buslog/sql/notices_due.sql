-- The channels of these that a notice is due for. Called by alerting.
SELECT DISTINCT n.channel FROM buslog.alert_notices n
WHERE n.state = 'waiting' AND n.channel = ANY (%(channels)s) AND n.due_at <= clock_timestamp()
  AND (n.claimed_until IS NULL OR n.claimed_until < clock_timestamp())
