-- What people did to a message, oldest first. Called by insights.
SELECT at, actor, verb, subscription, reason FROM buslog.operations WHERE message_id = %(id)s ORDER BY at, id LIMIT 500
