-- Takes the next notice that is due for a channel; nobody else sends it before the claim expires. Called by alerting.
UPDATE buslog.alert_notices n
SET tries = n.tries + 1, claimed_until = clock_timestamp() + make_interval(secs => %(claim)s)
WHERE n.id = (SELECT w.id FROM buslog.alert_notices w
              WHERE w.state = 'waiting' AND w.channel = %(channel)s AND w.due_at <= clock_timestamp()
                AND (w.claimed_until IS NULL OR w.claimed_until < clock_timestamp())
              ORDER BY w.due_at, w.id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING n.id, n.tries, n.occasion, n.title, n.body, n.made_at
