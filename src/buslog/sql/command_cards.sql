-- The registered commands: schema, role demanded, whether a live worker carries their code, and how their last ten runs
-- went. Called by insights.commands.
SELECT r.name, s.subscription, s.description, s.payload_schema::text,
       EXISTS (SELECT FROM buslog.workers w WHERE s.id = ANY (w.hosts)
                 AND w.retired_at IS NULL AND w.lease_until > clock_timestamp()),
       s.policy ->> 'role',
       last.runs, last.failed, last.at[1], last.state[1], last.who[1]
FROM buslog.routes r JOIN buslog.subscriptions s ON s.id = r.subscription_id
CROSS JOIN LATERAL (
    SELECT count(*) AS runs, count(*) FILTER (WHERE d.state = 'failed') AS failed,
           array_agg(m.emitted_at ORDER BY m.id DESC) AS at, array_agg(d.state ORDER BY m.id DESC) AS state,
           array_agg(coalesce(m.actor, m.source) ORDER BY m.id DESC) AS who
    FROM (
        SELECT * FROM buslog.messages WHERE name = r.name AND kind = 'command' ORDER BY id DESC LIMIT 10
    ) AS m
    CROSS JOIN LATERAL (
        SELECT l.state FROM buslog.log l WHERE l.message_id = m.id LIMIT 1
    ) AS d
) AS last
WHERE s.kind = 'command' AND s.active
ORDER BY r.name
