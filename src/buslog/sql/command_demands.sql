-- The role that a command demands, by its name; no row: it is no command. Called by operations.
SELECT buslog.demanded_role(ARRAY[s.subscription])::text
FROM buslog.routes r JOIN buslog.subscriptions s ON s.id = r.subscription_id
WHERE r.name = %b AND s.kind = 'command' AND s.active
