-- How many failures of these groups there were from a time on, by step. Called by insights.
SELECT t.fingerprint, date_bin(%(step)s, t.hour, '2001-01-01Z'), sum(t.failures)
FROM buslog.failure_trend t
WHERE t.fingerprint = ANY (%(fingerprints)s::text[]) AND t.hour >= %(since)s
GROUP BY 1, 2
