-- How the server would read the newest page of the Log. Called by doctor.
EXPLAIN (FORMAT JSON)
SELECT message_id, name, key, subscription, state FROM buslog.log ORDER BY message_id DESC LIMIT 51
