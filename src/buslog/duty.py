"""Who is on duty: taken by one person, handed over with a note to the next."""

from __future__ import annotations

from buslog import db
from buslog.desk import Desk
from buslog.errors import OperationRefused
from buslog.insights import Shift
from buslog.payload import CONTROL

LONGEST_NOTE = 2_000  # characters


class Duty(Desk):
    """The duty of one database. At most one person has it."""

    def take(self) -> str | None:
        """Be on duty from now on; returns who was, until now. Raises `OperationRefused` when it is oneself."""
        with self._transaction("take duty") as connection:
            connection.execute(db.query("lock_duty"))
            row = connection.execute(db.query("take_duty"), {"who": self._actor.name}).fetchone()
            if row is None:
                raise OperationRefused(
                    field="duty", rule="is somebody else's, or nobody's", was="yours already",
                    mend="Hand it over when you leave.",
                )  # fmt: skip
            connection.execute(db.query("begin_duty"), {"who": self._actor.name})
            before: str | None = row[0]
            self._audit(connection, "take duty", {"from": before})
            return before

    def hand_over(self, note: str) -> None:
        """One's own duty ends, with a note to the next. Nobody is on duty until somebody takes it.

        Raises `OperationRefused` when one is not on duty, without a note, and for one that is too long.
        """
        note = note.strip()
        if not note or len(note) > LONGEST_NOTE or CONTROL.search(note.replace("\n", " ").replace("\t", " ")):
            raise OperationRefused(
                field="note", rule="is printable text for the next person", was=f"{len(note)} characters",
                limit=f"{LONGEST_NOTE} characters", mend="Say what is going on, or that nothing is.",
            )  # fmt: skip
        with self._transaction("take duty") as connection:
            connection.execute(db.query("lock_duty"))
            values = {"who": self._actor.name, "note": note}
            if connection.execute(db.query("hand_over"), values).fetchone() is None:
                now = self._now(connection)
                raise OperationRefused(
                    field="duty", rule="is yours to hand over", was=f"{now.who}'s" if now else "nobody's",
                    mend="Take it first.",
                )  # fmt: skip
            self._audit(connection, "hand over duty", {"note": note})

    def shifts(self, places: int = 10) -> list[Shift]:
        """The latest times on duty, newest first."""
        with self._transaction("look") as connection:
            rows = connection.execute(db.query("duty"), {"places": places}).fetchall()
        return [Shift(*row) for row in rows]

    def _now(self, connection: db.Connection) -> Shift | None:
        row = connection.execute(db.query("duty"), {"places": 1}).fetchone()
        return Shift(*row) if row and row[2] is None else None
