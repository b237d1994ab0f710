"""Operations on what is confidential: look under the mask, take an export away, erase all of a key. Each with its audit
row: who saw what stays known, and what was erased leaves no trace but its ids, times and states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from buslog import db
from buslog.desk import Desk
from buslog.errors import InvalidFilter, NotFound, OperationRefused
from buslog.filter import Filter

STEP = 500  # messages of one transaction
_FIRST = UUID(int=0)


def set_mask_fields(dsn: str, fields: Sequence[str]) -> None:
    """The payload's fields that every dashboard masks from now on. A change is audited, as of the setting."""
    with db.connect(dsn) as connection, db.translated(dsn):
        connection.execute(db.query("set_mask_fields"), {"fields": list(fields), "actor": "setting"})


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure did: messages whose payload is gone, deliveries whose error or result is, attempts likewise.

    views: saved views that asked for the key, and are deleted or ask for less.
    left: messages that were passed over, because somebody sent a delivery of them again meanwhile.
    """

    key: str
    messages: int
    deliveries: int
    attempts: int
    left: int
    views: int = 0


class Privacy(Desk):
    """The operations on confidential values of one database."""

    def unmask(self, message_id: UUID, *, reason: str) -> None:
        """Allows whoever asks to see the masked values of one message. What is allowed ends with their session.

        Raises `NotFound`, and `OperationRefused` without a reason.
        """
        _check_reason(reason, "to see what is masked")
        with self._transaction("unmask", message_id=message_id, reason=reason) as connection:
            row = connection.execute(db.query("message_of"), {"id": message_id}).fetchone()
            if row is None:
                raise NotFound(field="message", rule="exists", was=str(message_id), mend="Look for it in the Log.")
            self._audit(connection, "unmask", {"name": row[0], "key": row[1]}, message_id=message_id, reason=reason)

    def demand_sight(self) -> None:
        """Whether whoever asks may look under the mask, as a search for masked values does. Raises `RoleTooLow`."""
        with self._transaction("unmask"):
            pass

    def exported(self, what: str, how: Mapping[str, Any]) -> None:
        """Record that somebody takes data away. how: what says which, such as the filter and the form of the file."""
        with self._transaction("export") as connection:
            self._audit(connection, "export", {"what": what, **how})

    def erase(self, key: str, *, typed: str, reason: str, progress: Callable[[int], None] = lambda _: None) -> Erasure:
        """Erase all of a key: payloads, errors and results of its messages become `{"erased": when}`, and what asked
        for it or named it no longer does: saved views, alerts, causes of failures. Ids, times, states and the audit
        stay. There is no way back.

        typed: the key once more, as the person typed it. In transactions of `STEP` messages; `progress` is told how
        many are done. One that was broken off is carried on by the next. A message that is emitted meanwhile is not
        part of it.

        Raises `NotFound` for a key without a message, and `OperationRefused`: without a reason, with another key typed,
        while deliveries of it are unfinished or a stored run is going to send some, and when all of it is erased.
        """
        _check_reason(reason, "to erase")
        if typed != key:
            raise OperationRefused(
                field="typed", rule="is the key, letter by letter", was=f"{len(typed)} characters",
                mend="Type the key exactly as it is.",
            )  # fmt: skip
        with self._transaction("erase", reason=reason) as connection:
            until, left = self._erasable(connection, key)
            self._audit(connection, "erase", {"key": key, "begun": left}, reason=reason)
        done, after = Erasure(key, 0, 0, 0, 0), _FIRST
        while True:
            values = {"key": key, "after": after, "until": until, "places": STEP}
            with self._transaction("erase", reason=reason) as connection:
                row = connection.execute(db.query("erase"), values).fetchone()
                assert row is not None
                last, messages, deliveries, attempts, passed = row
                done = Erasure(
                    key, done.messages + messages, done.deliveries + deliveries, done.attempts + attempts,
                    done.left + passed,
                )  # fmt: skip
                if last is None:
                    done = replace(done, views=_forget_in_views(connection, key))
                    connection.execute(db.query("erase_mentions"), {"key": key})
                    outcome = {"key": key, "messages": done.messages, "deliveries": done.deliveries,
                               "attempts": done.attempts, "views": done.views, "left": done.left}  # fmt: skip
                    self._audit(connection, "erase", outcome, reason=reason)
                    return done
            after = last
            progress(done.messages)

    def _erasable(self, connection: db.Connection, key: str) -> tuple[UUID, int]:
        """The newest message of a key, and how many of them are to be erased."""
        row = connection.execute(db.query("to_erase"), {"key": key}).fetchone()
        assert row is not None
        messages, erased, unfinished, runs, newest = row
        if not messages:
            raise NotFound(field="key", rule="has a message", was=key, mend="Look for the key in the Log.")
        if unfinished:
            raise OperationRefused(
                field="key", rule="has no unfinished delivery", was=f"{unfinished:,} unfinished",
                mend="Cancel them first: buslog runs preview cancel --key …, or on the Log.",
            )  # fmt: skip
        if runs:
            raise OperationRefused(
                field="key", rule="is in no stored run that still sends",
                was=f"run {', '.join(str(run) for run in runs[:5])}", mend="Let the run end, or stop it.",
            )  # fmt: skip
        if messages == erased:
            raise OperationRefused(
                field="key", rule="has something to erase", was=f"{erased:,} messages, all erased", mend="All is done."
            )
        return newest, messages - erased


def _forget_in_views(connection: db.Connection, key: str) -> int:
    """A view that asks for the key goes: without it, it would find what nobody meant. One that was saved under a name
    for other values beside it keeps these. Gives how many there were.
    """
    changed = 0
    for view_id, text, is_named in connection.execute(db.query("views_kept")).fetchall():
        try:
            filter_ = Filter.from_text(text)
        except InvalidFilter:  # of another release, or by hand: nobody can open it
            continue
        others = tuple(value for value in filter_.find if value.casefold() != key.casefold())
        is_named_in = any(key in (told or "") for told in (filter_.error_text, filter_.payload))
        if filter_.key != key and others == filter_.find and not is_named_in:
            continue
        if is_named and others and filter_.key != key and not is_named_in:
            values = {"id": view_id, "filter": replace(filter_, find=others).to_text()}
            connection.execute(db.query("narrow_view"), values)
        else:
            connection.execute(db.query("delete_view"), (view_id,))
        changed += 1
    return changed


def _check_reason(reason: str, what: str) -> None:
    if not reason.strip():
        raise OperationRefused(field="reason", rule=f"is given {what}", mend="Say why; it is kept in the audit.")
