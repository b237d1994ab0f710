-- A subscription that only history knows: no message reaches it until a Bus registers it. Called by history.
INSERT INTO buslog.subscriptions (subscription, kind, mode, chain_order, position, policy, active)
SELECT d.subscription, CASE WHEN bool_or(l.kind = 'command') THEN 'command' ELSE 'event' END::buslog.kind,
       'async', 0, 0, '{}', false
FROM import_lines l CROSS JOIN LATERAL jsonb_to_recordset(l.deliveries) AS d (subscription text)
WHERE NOT EXISTS (SELECT FROM buslog.subscriptions s WHERE s.subscription = d.subscription)
GROUP BY d.subscription ORDER BY d.subscription
ON CONFLICT DO NOTHING
