-- A run that is only looked at yet; returns its number and the time of the newest message. Called by replays.preview.
INSERT INTO buslog.replays (verb, filter, failed_of, rest_of, is_selected, actor, cutoff)
VALUES (%(verb)s::buslog.replay_verb, %(filter)s, %(failed_of)s, %(rest_of)s, %(is_selected)s, %(actor)s,
        (SELECT m.id FROM buslog.messages m ORDER BY m.id DESC LIMIT 1))
RETURNING id, buslog.id_time(cutoff)
