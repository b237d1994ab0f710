-- What people write down about a key, a message or a failure group. notes.py adds; a note is never changed.
CREATE TYPE buslog.note_about AS ENUM ('key', 'message', 'failure group');

CREATE TABLE buslog.notes (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,
    about   buslog.note_about NOT NULL,
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200), -- the key, the message's id, the group's fingerprint
    note    text NOT NULL CHECK (length(note) BETWEEN 1 AND 2000)
);
CREATE INDEX notes_subject ON buslog.notes (about, subject, id);

-- Why does it wait? The answer names who paused the subscription last.
CREATE INDEX operations_pauses ON buslog.operations (subscription, id) WHERE verb = 'pause';
