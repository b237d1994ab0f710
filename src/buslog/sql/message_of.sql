-- Whether a message exists; its name and key, for the audit. Called by privacy.unmask.
SELECT name, key FROM buslog.messages WHERE id = %(id)s
