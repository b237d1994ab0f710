-- What people did to some messages, oldest first; not what they were denied. Called by insights.
SELECT o.message_id, o.at, o.actor, o.verb, o.subscription, o.reason, (o.outcome ->> 'emitted')::uuid
FROM buslog.operations o WHERE o.message_id = ANY (%(ids)s::uuid[]) AND o.outcome -> 'denied' IS NULL
ORDER BY o.id
LIMIT %(places)s
