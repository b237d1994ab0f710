-- Payloads of some messages, to find what has to be masked in their errors and results; null above a size. Called by insights.
SELECT m.id, CASE WHEN pg_column_size(m.payload) <= %(most)s THEN m.payload::text END
FROM buslog.messages m WHERE m.id = ANY (%(ids)s)
