-- Whether there is a message of this id. Called by notes.
SELECT EXISTS (SELECT FROM buslog.messages WHERE id = %(id)s)
