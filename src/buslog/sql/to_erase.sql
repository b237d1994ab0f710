-- What there is of a key: messages, those erased, open deliveries, runs that will send some of it, the newest id. Called by
-- privacy and insights.
SELECT count(*), count(*) FILTER (WHERE m.erased_at IS NOT NULL),
       coalesce(sum((SELECT count(*) FROM buslog.deliveries d WHERE d.message_id = m.id)), 0)::bigint,
       coalesce((SELECT array_agg(r.id ORDER BY r.id) FROM buslog.replays r
                 WHERE r.state NOT IN ('previewed', 'stopped', 'ended') AND EXISTS (
                     SELECT FROM buslog.replay_items i JOIN buslog.messages w ON w.id = i.message_id
                     WHERE i.replay_id = r.id AND i.state = 'waiting' AND w.key = %(key)s)), '{}'),
       (SELECT l.id FROM buslog.messages l WHERE l.key = %(key)s ORDER BY l.id DESC LIMIT 1)
FROM buslog.messages m WHERE m.key = %(key)s
