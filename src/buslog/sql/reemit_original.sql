-- What an edited copy of a message is made of: name, whether its key was given by hand, key, whether the payload is
-- another one, and the schemas that subscribers of the name declare. Called by reemission.
SELECT m.name, m.key,
       m.key IS DISTINCT FROM buslog.key_of(m.payload, string_to_array(t.key_field, '.')),
       m.payload <> %(payload)s::text::jsonb,
       ARRAY(SELECT s.payload_schema::text FROM buslog.subscriptions s
             WHERE s.active AND s.payload_schema IS NOT NULL
               AND (s.id IN (SELECT r.subscription_id FROM buslog.routes r WHERE r.name = m.name AND r.pattern IS NULL)
                    OR s.id IN (SELECT buslog.pattern_routes(m.name)))
             ORDER BY s.id)
FROM buslog.messages m, buslog.settings t WHERE m.id = %(id)s
