-- A stored run as it stands. Called by replays.run.
SELECT id, verb::text, state::text, filter, failed_of, actor, reason, canary, rate, waiting, sent, succeeded, failed_again,
       cancelled, skipped, buslog.id_time(cutoff), previewed_at, started_at, begins_at, ended_at, stopped_why
FROM buslog.replays WHERE id = %b
