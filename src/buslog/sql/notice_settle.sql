-- What became of a notice; `tries` is the fence of the claim. Called by alerting.
UPDATE buslog.alert_notices
SET state = %(state)s, error = %(error)s, claimed_until = NULL,
    sent_at = CASE WHEN %(state)s::text = 'sent' THEN clock_timestamp() END,
    due_at = CASE WHEN %(state)s::text = 'waiting' THEN clock_timestamp() + make_interval(secs => %(delay)s) ELSE due_at END
WHERE id = %(notice)s AND tries = %(tries)s AND state = 'waiting'
RETURNING id
