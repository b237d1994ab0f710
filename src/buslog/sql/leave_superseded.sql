-- Items of a run that is being started: what is superseded is not sent. Called by replays.start.
WITH left_out AS (
    UPDATE buslog.replay_items SET state = 'skipped', reason = 'superseded'
    WHERE replay_id = %(run)s AND state = 'waiting' AND superseded
    RETURNING was
)
UPDATE buslog.replays r SET waiting = r.waiting - n.deliveries, skipped = r.skipped + n.deliveries, again = r.again - n.again
FROM (SELECT count(*) AS deliveries, count(*) FILTER (WHERE was = 'succeeded') AS again FROM left_out) AS n
WHERE r.id = %(run)s
RETURNING r.waiting
