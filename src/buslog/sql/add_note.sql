-- A note; returns its number. Called by notes.
INSERT INTO buslog.notes (actor, about, subject, note)
VALUES (%(actor)s, %(about)s::buslog.note_about, %(subject)s, %(note)s) RETURNING id
