-- What an edited copy of a message is made of: name, key, whether its key was given by hand, whether the payload is
-- another one, and the schemas that subscribers of the name declare. Called by reemission.
SELECT m.name, m.key,
       m.key IS DISTINCT FROM buslog.key_of(m.payload, string_to_array(t.key_field, '.')),
       m.payload <> %(payload)s::text::jsonb,
       ARRAY(SELECT s.payload_schema::text
             FROM unnest(buslog.recipients_of(m.name)) AS r JOIN buslog.subscriptions s ON s.id = r.subscription_id
             WHERE s.payload_schema IS NOT NULL ORDER BY s.id)
FROM buslog.messages m, buslog.settings t WHERE m.id = %(id)s
