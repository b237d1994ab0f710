-- The registered commands with their schema, whether a live worker carries their code, and the role that they demand.
-- Called by insights.
SELECT r.name, s.subscription, s.description, s.payload_schema::text,
       EXISTS (SELECT FROM buslog.workers w WHERE s.id = ANY (w.hosts)
                 AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()),
       s.policy ->> 'role'
FROM buslog.routes r JOIN buslog.subscriptions s ON s.id = r.subscription_id
WHERE s.kind = 'command' AND s.active
ORDER BY r.name
