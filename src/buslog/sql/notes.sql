-- What was noted about a key, a message or a failure group: the latest ones, oldest first. Called by insights.
SELECT n.id, n.at, n.actor, n.note FROM (
    SELECT * FROM buslog.notes WHERE about = %(about)s::buslog.note_about AND subject = %(subject)s
    ORDER BY id DESC LIMIT %(places)s
) AS n
ORDER BY n.id
