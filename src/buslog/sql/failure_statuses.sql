-- The status of these groups; with_quiet: and of those that somebody has dealt with and that came last in a time.
-- Called by insights.
SELECT u.fingerprint, coalesce(g.status, 'open')::text
FROM unnest(%(fingerprints)s::text[]) AS u (fingerprint)
LEFT JOIN buslog.failure_groups g USING (fingerprint)
UNION
SELECT g.fingerprint, g.status::text
FROM buslog.failure_groups g
WHERE %(with_quiet)s AND g.status <> 'open'
  AND (%(since)s::timestamptz IS NULL OR g.last_seen >= %(since)s) AND (%(until)s::timestamptz IS NULL OR g.last_seen < %(until)s)
