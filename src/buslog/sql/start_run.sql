-- A preview becomes a run that waits for its time to undo to pass; no row: it is none any more. Called by replays.start.
UPDATE buslog.replays SET
    state = 'waiting', actor = %(actor)s, reason = %(reason)s, canary = %(canary)s, rate = %(rate)s,
    started_at = clock_timestamp(), begins_at = clock_timestamp() + make_interval(secs => %(undo)s),
    next_at = clock_timestamp() + make_interval(secs => %(undo)s), progressed_at = clock_timestamp()
WHERE id = %(run)s AND state = 'previewed'
RETURNING pg_notify('buslog_replays', '')
