-- Releases whose code was first seen to run in a time, the newest first. Called by insights.
SELECT r.version, r.first_seen FROM buslog.releases r
WHERE (%(since)s::timestamptz IS NULL OR r.first_seen >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR r.first_seen < %(until)s)
ORDER BY r.first_seen DESC
LIMIT 20
