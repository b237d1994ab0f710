-- When the oldest message of a set was emitted. Called by replays.preview.
SELECT m.emitted_at
FROM (SELECT i.message_id FROM buslog.replay_items i WHERE i.replay_id = %b AND i.state = 'waiting'
      ORDER BY i.message_id LIMIT 1) AS i
JOIN buslog.messages m ON m.id = i.message_id
