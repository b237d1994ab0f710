-- Every name ever seen. Called by insights.
SELECT name, kind::text FROM buslog.names ORDER BY name LIMIT 5000
