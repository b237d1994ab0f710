-- The commands that are being carried out, by name; of some names and one subscription where these are given. As many
-- as workers have places, at most. Called by insights.
SELECT m.name, count(*)
FROM buslog.subscriptions s
JOIN buslog.deliveries d ON d.subscription_id = s.id AND d.state = 'running'
JOIN buslog.messages m ON m.id = d.message_id
WHERE s.kind = 'command' AND (%(subscription)s::text IS NULL OR s.subscription = %(subscription)s)
  AND (%(names)s::text[] = '{}' OR m.name = ANY (%(names)s))
GROUP BY m.name
ORDER BY count(*) DESC, m.name
LIMIT 50
