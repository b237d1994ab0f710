-- An alert is over: what was not sent of it need not be. Returns the channels that have heard of it. Called by alerting.
WITH held_back AS (
    UPDATE buslog.alert_notices SET state = 'suppressed'
    WHERE alert_id = %(alert)s AND state = 'waiting' AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
)
SELECT DISTINCT channel FROM buslog.alert_notices
WHERE alert_id = %(alert)s AND (state = 'sent' OR state = 'waiting' AND claimed_until >= clock_timestamp())
