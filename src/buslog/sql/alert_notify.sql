-- Puts a notice to each channel on its way; of one that still waits no second one. Called by alerting.
INSERT INTO buslog.alert_notices (alert_id, channel, occasion, title, body, made_at, due_at, is_held)
SELECT %(alert)s, c.channel, %(occasion)s, %(title)s, %(body)s, %(now)s, %(due_at)s, %(is_held)s
FROM unnest(%(channels)s::text[]) AS c (channel)
WHERE %(occasion)s::text = 'resolved'
   OR NOT EXISTS (SELECT 1 FROM buslog.alert_notices n
                  WHERE n.alert_id = %(alert)s AND n.channel = c.channel AND n.state = 'waiting')
