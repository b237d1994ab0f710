"""The refs of what was said before they were kept, or by other fields. `buslog refs backfill` comes through here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from buslog import db
from buslog.desk import Desk
from buslog.errors import OperationRefused

BATCH = 2_000  # messages of one transaction
_BEFORE_ALL = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Backfilled:
    """How many messages were looked through, and how many refs were new."""

    messages: int
    refs: int


class Refs(Desk):
    """The refs of one database. The fields they come from are a setting: `BUSLOG_REF_FIELDS`."""

    def backfill(self, tell: Callable[[Backfilled], None] = lambda _: None) -> Backfilled:
        """Look through the whole log by the fields of now, a short transaction at a time; `tell` hears how far it is.

        What is found already stays as it is, so it can be repeated, and broken off at any time. Refs of fields that
        are no longer named stay too. Raises `OperationRefused` where no field is named.
        """
        with self._transaction("refs backfill") as connection:
            row = connection.execute(db.query("ref_fields")).fetchone()
        if row is None or not row[0]:
            raise OperationRefused(
                field="BUSLOG_REF_FIELDS", rule="names a field of payloads", was="nothing",
                mend="Set it for the workers and start one: it is kept in the database.",
            )  # fmt: skip
        done, last = Backfilled(0, 0), _BEFORE_ALL
        while True:
            with self._transaction("refs backfill") as connection:
                batch = connection.execute(db.query("backfill_refs"), (last, BATCH)).fetchone()
                assert batch is not None
                done = Backfilled(done.messages + batch[0], done.refs + batch[1])
                if batch[0] < BATCH:
                    outcome = {"messages": done.messages, "refs": done.refs, "fields": row[0]}
                    self._audit(connection, "refs backfill", outcome)
                    return done
                last = batch[2]
            tell(done)
