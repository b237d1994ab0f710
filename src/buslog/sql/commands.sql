-- The registered commands: name, subscription, JSON Schema of the payload. Called by operations.run_command.
SELECT r.name, s.subscription, s.payload_schema
FROM buslog.routes r JOIN buslog.subscriptions s ON s.id = r.subscription_id
WHERE s.kind = 'command' AND s.active
