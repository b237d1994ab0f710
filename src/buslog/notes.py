"""Notes: what a person writes down about a key, a message or a failure group, for whoever looks next."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from buslog import db
from buslog.desk import Desk
from buslog.errors import NotFound, OperationRefused
from buslog.payload import CONTROL, check_key

LONGEST = 2000  # characters


class About(StrEnum):
    """What a note is about."""

    KEY = "key"
    MESSAGE = "message"
    GROUP = "failure group"


class Notes(Desk):
    """The notes of one database."""

    def add(self, about: About, subject: str, note: str) -> int:
        """Write a note down; returns its number. `subject`: the key, the message's id, or the group's fingerprint.

        Raises `OperationRefused` for a note that is empty, too long or no text, `InvalidMessage` for what is no key,
        and `NotFound` when nothing of that key, or no message of that id, was ever emitted.
        """
        text = checked(note)
        with self._transaction("note") as connection:
            message_id = _message(subject) if about is About.MESSAGE else None
            if about is About.KEY:
                check_key(subject)
                _find(connection, "key_exists", "key", {"key": subject})
            elif message_id is not None:
                _find(connection, "message_exists", "message", {"id": message_id})
                subject = str(message_id)
            values = {"actor": self._actor.name, "about": about, "subject": subject, "note": text}
            row = connection.execute(db.query("add_note"), values).fetchone()
            assert row is not None
            # The note's number alone: what it says is in one place, and can be taken from there.
            self._audit(connection, "note", {"note": row[0], about: subject}, message_id=message_id)
            number: int = row[0]
            return number


def checked(note: str) -> str:
    """The text of a note without blanks around it. Raises `OperationRefused`."""
    text = note.replace("\r\n", "\n").strip()
    if not text or len(text) > LONGEST:
        raise OperationRefused(
            field="note", rule=f"has 1 to {LONGEST:,} characters", was=f"{len(text):,} characters",
            limit=f"{LONGEST:,} characters", mend="Write less, or leave it out.",
        )  # fmt: skip
    if CONTROL.search(text.replace("\n", "").replace("\t", "")):
        raise OperationRefused(
            field="note", rule="is printable text", was="a text with control characters", mend="Type it by hand."
        )
    return text


def _message(subject: str) -> UUID:
    try:
        return UUID(subject)
    except ValueError:
        raise NotFound(field="message", rule="exists", was=subject, mend="Look for it in the Log.") from None


def _find(connection: db.Connection, question: str, field: str, values: dict[str, object]) -> None:
    row = connection.execute(db.query(question), values).fetchone()
    if row is None or not row[0]:
        raise NotFound(field=field, rule="exists", was=str(next(iter(values.values()))), mend="Look in the Log.")
