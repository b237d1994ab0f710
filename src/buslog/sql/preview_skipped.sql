-- Why items of a preview are skipped, and how many. Called by replays.preview.
SELECT reason, count(*) FROM buslog.replay_items WHERE replay_id = %b AND state = 'skipped' GROUP BY reason ORDER BY reason
