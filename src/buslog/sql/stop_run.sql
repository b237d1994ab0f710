-- Nothing more of a run is sent; what was sent is followed. No row: it had stopped or ended. Called by replays.stop.
UPDATE buslog.replays SET state = 'stopped', stopped_why = %(why)s, ended_at = clock_timestamp(),
    next_at = CASE WHEN sent > 0 THEN clock_timestamp() END
WHERE id = %(run)s AND state IN ('waiting', 'canary', 'running')
RETURNING waiting
