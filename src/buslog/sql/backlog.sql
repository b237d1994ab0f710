-- Unfinished deliveries by state, and when the message of the oldest was emitted. Called by insights.
SELECT state::text, count(*), buslog.id_time((SELECT message_id FROM buslog.deliveries ORDER BY message_id LIMIT 1))
FROM buslog.deliveries GROUP BY state
