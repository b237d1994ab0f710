-- Who did what: one row an operation and delivery, in the operation's own transaction. Called by operations.
INSERT INTO buslog.operations (actor, verb, message_id, subscription, reason, outcome)
VALUES (%b, %b, %b, %b, %b, %b::text::jsonb)
