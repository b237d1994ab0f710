"""The audit: who did what, when, why, to which. Read newest first, by keyset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    Text,
    Uuid,
    any_,
    cast,
    column,
    func,
    literal,
    or_,
    select,
    table,
    tuple_,
)
from sqlalchemy.dialects.postgresql import JSONB

from buslog import db
from buslog.errors import InvalidFilter
from buslog.filter import Filter, Range
from buslog.insights.statements import composed
from buslog.insights.tables import messages
from buslog.payload import CONTROL, NAME_LENGTH

operations = table(
    "operations",
    column("id", BigInteger()),
    column("at", DateTime(timezone=True)),
    column("actor", Text()),
    column("verb", Text()),
    column("message_id", Uuid()),
    column("subscription", Text()),
    column("reason", Text()),
    column("outcome", JSONB()),
    schema="buslog",
).alias("o")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OWN = ("actor", "verb", "message", "outcome")  # beside the Filter's key, subscription and time
DENIED = "denied"


@dataclass(frozen=True, slots=True)
class AuditCursor:
    """The place of a row in the audit, for keyset pages."""

    at: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // timedelta(microseconds=1)}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> AuditCursor:
        """Reads what `str` wrote. Raises `InvalidFilter`."""
        at, _, number = text[:50].partition("-")
        try:
            cursor = cls(_EPOCH + timedelta(microseconds=int(at)), int(number))
        except (ValueError, OverflowError):
            cursor = None
        if cursor is None or not 0 <= cursor.id < 2**63 or str(cursor) != text:
            raise InvalidFilter(field="page", rule="is a place in the audit", was=text, mend="Go back to the newest.")
        return cursor


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What of the audit to look at. Empty parts do not filter.

    actor, message: exactly this. verbs: any of these. denied: only what was refused for want of a right. of: the key,
    the subscription and the time, as of a Filter of the Log.
    """

    actor: str | None = None
    verbs: tuple[str, ...] = ()
    message: UUID | None = None
    denied: bool = False
    of: Filter = field(default_factory=Filter)

    @classmethod
    def from_params(cls, params: Mapping[str, str | list[str]], *, default: Range = Range.MONTH) -> AuditFilter:
        """The filter of a URL's parameters: actor, verb (repeatable), message, outcome=denied, and key, subscription,
        range, from, to as in `Filter`. Raises `InvalidFilter`.
        """
        given = {name: [values] if isinstance(values, str) else list(values) for name, values in params.items()}
        rest = {name: values for name, values in given.items() if name not in _OWN}
        for name in ("name", "state", "error"):
            if rest.get(name):
                raise InvalidFilter(
                    field=name, rule="is no filter of the audit", was=rest[name][0],
                    limit="actor, verb, message, outcome, key, subscription, range, from, to", mend="Leave it out.",
                )  # fmt: skip
        own = {name: [text for text in given.get(name, []) if text] for name in _OWN}
        for name, texts in own.items():
            if any(len(text) > NAME_LENGTH or CONTROL.search(text) for text in texts) or len(texts) > 50:  # noqa: PLR2004
                raise InvalidFilter(
                    field=name, rule=f"has 1 to {NAME_LENGTH} printable characters", limit="50 values",
                    mend="Correct it, or leave it out.",
                )  # fmt: skip
        if own["outcome"] not in ([], [DENIED]):
            raise InvalidFilter(field="outcome", rule="is denied", was=own["outcome"][0], mend="Leave it out.")
        return cls(
            actor=own["actor"][0] if own["actor"] else None,
            verbs=tuple(dict.fromkeys(own["verb"])),
            message=_message(own["message"]),
            denied=bool(own["outcome"]),
            of=Filter.from_params(rest, default=default),
        )

    def to_params(self, *, default: Range = Range.MONTH) -> dict[str, str | list[str]]:
        """The parameters that `from_params` reads back as this filter."""
        own: dict[str, str | list[str]] = {}
        if self.actor:
            own["actor"] = self.actor
        if self.verbs:
            own["verb"] = list(self.verbs)
        if self.message:
            own["message"] = str(self.message)
        if self.denied:
            own["outcome"] = DENIED
        return {**own, **self.of.to_params(default=default)}

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the time is filtered."""
        return bool(self.actor or self.verbs or self.message or self.denied or self.of.is_narrow)

    def ever(self) -> AuditFilter:
        """The same filter at any time."""
        return replace(self, of=self.of.over(Range.ALL))


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An operation. `outcome`: what it says of itself, such as the states before, counts, a run's number, a filter.

    key: of its message, or its own. is_denied: it was refused for want of a right.
    """

    id: int
    at: datetime
    actor: str
    verb: str
    message_id: UUID | None
    name: str | None
    key: str | None
    subscription: str | None
    reason: str | None
    outcome: dict[str, Any]

    @property
    def cursor(self) -> AuditCursor:
        return AuditCursor(self.at, self.id)

    @property
    def is_denied(self) -> bool:
        return DENIED in self.outcome

    @property
    def run(self) -> int | None:
        """The stored run it belongs to."""
        number = self.outcome.get("run")
        return number if isinstance(number, int) else None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of the audit, newest first. A cursor is None where there is nothing more."""

    rows: list[AuditRow]
    newer: AuditCursor | None
    older: AuditCursor | None


def page(
    connection: db.Connection, filter_: AuditFilter, now: datetime, *, older_than: AuditCursor | None,
    newer_than: AuditCursor | None, size: int,
) -> AuditPage:  # fmt: skip
    o = operations.c
    place = tuple_(o.at, o.id)
    query = query_of(filter_, now)
    if older_than:
        query = query.where(place < tuple_(literal(older_than.at), literal(older_than.id)))
    if newer_than:
        query = query.where(place > tuple_(literal(newer_than.at), literal(newer_than.id)))
    order = (o.at, o.id) if newer_than else (o.at.desc(), o.id.desc())
    found = [_row(row) for row in _rows(connection, query.order_by(*order).limit(size + 1))]
    shown, has_more = found[:size], len(found) > size
    if newer_than:
        shown.reverse()
    if not shown:
        return AuditPage([], newer=None, older=None)
    return AuditPage(
        shown,
        newer=shown[0].cursor if older_than or (newer_than and has_more) else None,
        older=shown[-1].cursor if newer_than or has_more else None,
    )


def one(connection: db.Connection, number: int) -> AuditRow | None:
    query = select(*_columns()).select_from(_source()).where(operations.c.id == number)
    return next((_row(row) for row in _rows(connection, query)), None)


def exists_ever(connection: db.Connection, filter_: AuditFilter, now: datetime) -> bool:
    """Whether the filter finds anything at any time."""
    return _rows(connection, query_of(filter_.ever(), now).limit(1)) != []


def actors(connection: db.Connection) -> list[str]:
    return [row[0] for row in connection.execute(db.query("audit_actors"))]


def verbs(connection: db.Connection) -> list[str]:
    return [row[0] for row in connection.execute(db.query("audit_verbs"))]


def query_of(filter_: AuditFilter, now: datetime) -> Select[Any]:
    """The rows of a filter, in no order yet; list and export share it."""
    return select(*_columns()).select_from(_source()).where(*_clauses(filter_, now))


def _clauses(filter_: AuditFilter, now: datetime) -> list[ColumnElement[Any]]:
    o = operations.c
    since, until = filter_.of.bounds(now)
    clauses: list[ColumnElement[Any]] = []
    if since:
        clauses.append(o.at >= since)
    if until:
        clauses.append(o.at < until)
    if filter_.actor:
        clauses.append(o.actor == filter_.actor)
    if filter_.verbs:
        clauses.append(o.verb == any_(literal(list(filter_.verbs), ARRAY(Text()))))
    if filter_.message:
        clauses.append(o.message_id == filter_.message)
    if filter_.denied:
        clauses.append(o.outcome.has_key(DENIED))
    if filter_.of.subscription:
        clauses.append(o.subscription == filter_.of.subscription)
    if filter_.of.key:
        of_key = select(messages.c.id).where(messages.c.key == filter_.of.key)
        own = o.outcome.has_key("key") & (o.outcome["key"].astext == filter_.of.key)
        clauses.append(or_(o.message_id.in_(of_key), own))
    return clauses


def _source() -> Any:
    return operations.outerjoin(messages, messages.c.id == operations.c.message_id)


def _columns() -> tuple[Any, ...]:
    o = operations.c
    key = func.coalesce(messages.c.key, o.outcome["key"].astext)
    return (
        o.id, o.at, o.actor, o.verb, o.message_id, messages.c.name, key.label("key"), o.subscription, o.reason,
        cast(o.outcome, Text).label("outcome"),
    )  # fmt: skip


def _rows(connection: db.Connection, query: Select[Any]) -> list[Any]:
    return composed(query).on(connection, {}).fetchall()


def _row(row: Any) -> AuditRow:
    values = list(row)
    values[-1] = json.loads(values[-1])
    return AuditRow(*values)


def _message(texts: list[str]) -> UUID | None:
    if not texts:
        return None
    try:
        return UUID(texts[0])
    except ValueError:
        raise InvalidFilter(field="message", rule="is a message's id", was=texts[0], mend="Copy it whole.") from None
