-- What people did to a message, oldest first, not what they were denied; and the message that came of it. Called by insights.
SELECT at, actor, verb, subscription, reason, (outcome ->> 'emitted')::uuid FROM buslog.operations
WHERE message_id = %(id)s AND outcome -> 'denied' IS NULL ORDER BY at, id LIMIT 500
