"""From a Filter to SQL: the one where-clause that list, count, chart and export share.

A row is a delivery in its latest generation, or a message without any, as in the view `buslog.log`. Times become
bounds of ids: partitions prune on them, and every index ends in the id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Select,
    SmallInteger,
    Text,
    and_,
    any_,
    case,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)

from buslog.errors import InvalidFilter
from buslog.filter import Filter
from buslog.insights.tables import (
    attempts,
    deliveries,
    ended_deliveries,
    failures,
    messages,
    messages_table,
    subscriptions,
)
from buslog.message import ENDED_STATES, MESSAGE_STATES, OPEN_STATES, State

Column = ColumnElement[Any]
Bounds = tuple[datetime | None, datetime | None]

# A literal: a planner that sees a parameter cannot prove that the partial index `ended_failed` serves.
_FAILED: Column = literal_column("'failed'::buslog.state")
# What is few among many, and found without its messages.
_FEW = {*OPEN_STATES, State.FAILED}
_NO_SUBSCRIPTION = 0
_OF_MESSAGE, _OF_FAILURE = "of_message", "of_failure"  # how a delivery is found


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a row in the Log, for keyset pages: everything before or after it."""

    message_id: UUID
    subscription_id: int

    def __str__(self) -> str:
        return f"{self.message_id.hex}-{self.subscription_id}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Reads what `str` wrote. Raises `InvalidFilter`."""
        message, _, subscription = text.partition("-")
        try:
            cursor = cls(UUID(hex=message), int(subscription))
        except ValueError:
            cursor = None
        if cursor is None or not 0 <= cursor.subscription_id < 2**31 or str(cursor) != text:
            raise InvalidFilter(field="page", rule="is a place in the Log", was=text, mend="Go back to the newest.")
        return cursor


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a Filter, to select from: `m` is the message, `d` its delivery."""

    m: Any
    d: Any
    source: FromClause
    where: tuple[Column, ...]

    def select(self, *columns: Any) -> Select[Any]:
        return select(*columns).select_from(self.source).where(*self.where)

    def newest_first(self, query: Select[Any]) -> Select[Any]:
        return query.order_by(*(column.desc() for column in self._place))

    def oldest_first(self, query: Select[Any]) -> Select[Any]:
        return query.order_by(*self._place)

    @property
    def _place(self) -> tuple[Column, Column]:
        """Message and subscription: of equal columns those whose index gives the order."""
        if self.d.name == _OF_FAILURE:
            return failures.c.message_id, failures.c.subscription_id
        return self.m.c.id if self.d.name == _OF_MESSAGE else self.d.c.message_id, self.d.c.subscription_id


def log_rows(
    filter_: Filter,
    now: datetime,
    *,
    older_than: Cursor | None = None,
    newer_than: Cursor | None = None,
    is_counted: bool = False,
) -> Rows:
    """The rows of a filter at a moment, or those of them beyond a cursor.

    Three shapes of one query. A page reads its messages in order and looks up their deliveries, unless the states asked
    for are few among many and have their own index. What is counted reads whole ranges of both and joins them; where
    the filter asks nothing of the message but its time, `m` is left out. A failure group is read from its own index,
    and the deliveries and messages are looked up.
    """
    bounds = filter_.bounds(now)
    asks_of_messages = not is_counted or bool(filter_.names or filter_.key)
    if filter_.group:
        d: Any = _delivery_of_failure().lateral(_OF_FAILURE)
        source: FromClause = failures.join(d, true())
        source = source.join(messages, messages.c.id == failures.c.message_id) if asks_of_messages else source
    elif (is_counted and not filter_.key) or (filter_.states and set(filter_.states) <= _FEW):
        d = union_all(*_deliveries_of_range(filter_, bounds, older_than, newer_than)).subquery("of_range")
        source = d.join(messages, messages.c.id == d.c.message_id) if asks_of_messages else d
    else:
        d = union_all(*_deliveries_of_message(filter_)).lateral(_OF_MESSAGE)
        source = messages.join(d, true())
    where = []
    if asks_of_messages:
        where += [*message_clauses(filter_, bounds), *_beyond_message(messages.c.id, older_than, newer_than)]
        if filter_.states and set(filter_.states) <= set(MESSAGE_STATES):
            where.append(messages.c.routed == 0)
    # The failed alone come from an index of their own, which does not tell the state.
    if filter_.states and set(filter_.states) != {State.FAILED}:
        where.append(_is_one_of(d.c.state, [str(state) for state in filter_.states]))
    if filter_.subscription:
        where.append(d.c.subscription_id == subscription_number(filter_.subscription))
    if filter_.error_type:
        where.append(d.c.error_type == filter_.error_type)
    if filter_.group:
        where += [failures.c.fingerprint == filter_.group, *id_clauses(failures.c.message_id, bounds)]
        where += _beyond_message(failures.c.message_id, older_than, newer_than)
    where += _beyond_row(failures if filter_.group else d, older_than, newer_than)
    return Rows(messages, d, source, tuple(where))


def message_clauses(filter_: Filter, bounds: Bounds) -> list[Column]:
    """What a filter asks of the message itself: time, name, key."""
    clauses = id_clauses(messages.c.id, bounds)
    if len(filter_.names) == 1:
        clauses.append(messages.c.name == filter_.names[0])
    elif filter_.names:
        clauses.append(_is_one_of(messages.c.name, filter_.names))
    if filter_.key:
        clauses.append(messages.c.key == filter_.key)
    return clauses


def id_clauses(identity: Column, bounds: Bounds) -> list[Column]:
    """Bounds of time as bounds of a message's id."""
    since, until = bounds
    clauses = []
    if since:
        clauses.append(identity >= _id_floor(since))
    if until:
        clauses.append(identity < _id_floor(until))
    return clauses


def is_failure(d: Any) -> Column:
    """Joins a delivery to its row among the failures."""
    return and_(failures.c.message_id == d.c.message_id, failures.c.subscription_id == d.c.subscription_id)


def subscription_number(name: str) -> Any:
    return select(subscriptions.c.id).where(subscriptions.c.subscription == name).scalar_subquery()


def subscription_name(number: Column) -> Any:
    """As a scalar subquery: a join could cost the rows their order."""
    return select(subscriptions.c.subscription).where(subscriptions.c.id == number).scalar_subquery()


def subscription_mode(number: Column) -> Any:
    return select(cast(subscriptions.c.mode, Text)).where(subscriptions.c.id == number).scalar_subquery()


# ── the deliveries, open and ended, and the messages without any ────────────────


def _deliveries_of_range(
    filter_: Filter, bounds: Bounds, older_than: Cursor | None, newer_than: Cursor | None
) -> list[Select[Any]]:
    wanted = set(filter_.states or State)
    ended = _ended_deliveries()
    if not wanted & {State.SUCCEEDED, State.CANCELLED}:
        ended = ended.where(ended_deliveries.c.state == _FAILED)
    bare = messages_table.alias("bare")
    parts = (
        (OPEN_STATES, _open_deliveries(), deliveries.c.message_id),
        (ENDED_STATES, ended, ended_deliveries.c.message_id),
        (MESSAGE_STATES, _no_delivery(bare), bare.c.id),
    )
    return [
        query.where(*id_clauses(identity, bounds), *_beyond_message(identity, older_than, newer_than))
        for states, query, identity in parts
        if wanted & set(states)
    ]


def _deliveries_of_message(filter_: Filter) -> list[Select[Any]]:
    wanted = set(filter_.states or State)
    parts = (
        (OPEN_STATES, _open_deliveries().where(deliveries.c.message_id == messages.c.id)),
        (ENDED_STATES, _ended_deliveries().where(ended_deliveries.c.message_id == messages.c.id)),
        (MESSAGE_STATES, _no_delivery(messages)),
    )
    return [query.correlate(messages) for states, query in parts if wanted & set(states)]


def _delivery_of_failure() -> Select[Any]:
    """OFFSET 0: one look after the other, in the order of the failures. A planner that joined would take them for few,
    and sort.
    """
    e = ended_deliveries.c
    same = and_(e.message_id == failures.c.message_id, e.subscription_id == failures.c.subscription_id)
    return _ended_deliveries().where(same, e.state == _FAILED).correlate(failures).offset(0)


def _open_deliveries() -> Select[Any]:
    # Its last error is the last attempt's; one that never ran has none, and is spared the look.
    last = (
        select(attempts.c.error_type, attempts.c.error)
        .where(attempts.c.message_id == deliveries.c.message_id)
        .where(attempts.c.subscription_id == deliveries.c.subscription_id)
        .order_by(attempts.c.generation.desc(), attempts.c.attempt.desc())
        .limit(1)
        .correlate(deliveries)
        .lateral("last")
    )
    ran = or_(deliveries.c.attempt > 0, deliveries.c.generation > 1)
    return select(
        deliveries.c.message_id,
        deliveries.c.subscription_id,
        cast(deliveries.c.state, Text).label("state"),
        deliveries.c.generation,
        deliveries.c.attempt.label("attempts"),
        last.c.error_type,
        last.c.error,
        cast(null(), DateTime(timezone=True)).label("finished_at"),
        deliveries.c.repeats,
    ).select_from(deliveries.outerjoin(last, ran))


def _ended_deliveries() -> Select[Any]:
    e = ended_deliveries.c
    return select(
        e.message_id,
        e.subscription_id,
        cast(e.state, Text).label("state"),
        e.generation,
        e.attempts,
        e.error_type,
        e.error,
        e.finished_at,
        e.repeats,
    ).where(e.latest)


def _no_delivery(m: Any) -> Select[Any]:
    imported = case((m.c.source == "import", str(State.IMPORTED)), else_=str(State.UNROUTED))
    return select(
        m.c.id.label("message_id"),
        literal(_NO_SUBSCRIPTION, Integer).label("subscription_id"),
        cast(imported, Text).label("state"),
        cast(null(), SmallInteger).label("generation"),
        cast(null(), SmallInteger).label("attempts"),
        cast(null(), Text).label("error_type"),
        cast(null(), Text).label("error"),
        cast(null(), DateTime(timezone=True)).label("finished_at"),
        cast(null(), SmallInteger).label("repeats"),
    ).where(m.c.routed == 0)


# ── keyset ──────────────────────────────────────────────────────────────────────


def _beyond_message(identity: Column, older_than: Cursor | None, newer_than: Cursor | None) -> list[Column]:
    """The part of a cursor that an index on the id can use."""
    clauses = []
    if older_than:
        clauses.append(identity <= older_than.message_id)
    if newer_than:
        clauses.append(identity >= newer_than.message_id)
    return clauses


def _beyond_row(d: Any, older_than: Cursor | None, newer_than: Cursor | None) -> list[Column]:
    clauses = []
    if older_than:
        clauses.append(
            or_(
                d.c.message_id < older_than.message_id,
                and_(d.c.message_id == older_than.message_id, d.c.subscription_id < older_than.subscription_id),
            )
        )
    if newer_than:
        clauses.append(
            or_(
                d.c.message_id > newer_than.message_id,
                and_(d.c.message_id == newer_than.message_id, d.c.subscription_id > newer_than.subscription_id),
            )
        )
    return clauses


def _is_one_of(column: Column, values: Sequence[str]) -> Column:
    return column == any_(literal(list(values), ARRAY(Text())))


def _id_floor(moment: datetime) -> Any:
    return func.buslog.id_floor(literal(moment, DateTime(timezone=True)))
