-- The runs that were started, newest first, from before a number. Called by replays and insights.
SELECT r.id, r.verb::text, r.state::text, r.filter, r.failed_of, r.rest_of, r.is_selected, r.again, r.actor, r.reason, r.canary, r.rate,
       r.waiting, r.sent, r.succeeded, r.failed_again, r.cancelled, r.skipped, buslog.id_time(r.cutoff), r.previewed_at, r.started_at,
       r.begins_at, r.ended_at, r.stopped_why
FROM buslog.replays r
WHERE r.state <> 'previewed' AND (%(before)s::bigint IS NULL OR r.id < %(before)s) ORDER BY r.id DESC LIMIT %(places)s
