-- Holds a subscription's deliveries, or lets them go on. No row: it was so already, or there is none. Called by
-- operations.pause and operations.resume.
UPDATE buslog.subscriptions s SET paused_at = CASE WHEN %(paused)s THEN clock_timestamp() END
WHERE s.subscription = %(subscription)s AND (s.paused_at IS NOT NULL) <> %(paused)s
RETURNING s.id
