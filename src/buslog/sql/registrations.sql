-- Every subscription ever registered: is it on the bus, with which names, how many live workers host it. Called by
-- registrations.unregister.
SELECT s.subscription, s.active, ARRAY(SELECT r.name FROM buslog.routes r WHERE r.subscription_id = s.id ORDER BY r.name),
       (SELECT count(*) FROM buslog.workers w
        WHERE s.id = ANY (w.hosts) AND w.retired_at IS NULL AND w.lease_until > clock_timestamp())
FROM buslog.subscriptions s
