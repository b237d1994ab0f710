"""From a Filter to SQL: the one where-clause that list, count, chart and export share.

A row is a delivery in its latest generation, or a message without any, as in the view `buslog.log`. Times become
bounds of ids: partitions prune on them, and every index ends in the id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    FromClause,
    Integer,
    Select,
    SmallInteger,
    Text,
    Uuid,
    and_,
    any_,
    case,
    cast,
    exists,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import JSONB

from buslog.filter import Filter
from buslog.insights import search
from buslog.insights.ends import Cursor, Ends
from buslog.insights.search import Way
from buslog.insights.shapes import ESCAPE, check_cost, escaped
from buslog.insights.statements import bound
from buslog.insights.tables import (
    attempts,
    attempts_table,
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
_NONE: Column = literal_column("0")
_NO_SUBSCRIPTION = 0
_OF_MESSAGE, _OF_FAILURE = "of_message", "of_failure"  # how a delivery is found


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a Filter, to select from: `m` is the message, `d` its delivery, `found` what it is found by."""

    m: Any
    d: Any
    source: FromClause
    where: tuple[Column, ...]
    found: Any = None

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
        of = self.found.c.id if self.found is not None else self.m.c.id
        return of if self.d.name == _OF_MESSAGE else self.d.c.message_id, self.d.c.subscription_id


def log_rows(
    filter_: Filter,
    now: datetime,
    *,
    older_than: Cursor | None = None,
    newer_than: Cursor | None = None,
    up_to: Cursor | None = None,
    way: Way | None = None,
    is_counted: bool = False,
) -> Rows:
    """The rows of a filter at a moment, or those of them beyond a cursor; up to a cursor: that row and what is older.
    way: only those that the one value of `find` finds so. Raises `InvalidFilter` where that would take too long.
    """
    check_cost(filter_, now)
    return rows_of(filter_, filter_.bounds(now), Ends(older_than, newer_than, up_to), way, is_counted=is_counted)


def shaped_rows(shape: Filter, ends: Ends | None = None, way: Way | None = None, *, is_counted: bool = False) -> Rows:
    """The same of a shape: the values are bound when the statement is carried out."""
    return rows_of(shape, (shape.since, shape.until), ends or Ends(), way, is_counted=is_counted)


def frozen_set(filter_: Filter, now: datetime) -> Select[Any]:
    """Message, subscription, generation and state of the deliveries of a filter at a moment, the oldest first. What has
    failed is read from the failures alone, unless the filter asks for what they do not tell: that saves a look at the
    log for each of them. Raises as `log_rows` does.
    """
    if filter_ == Filter(
        states=(State.FAILED,), subscription=filter_.subscription, group=filter_.group, range=filter_.range,
        since=filter_.since, until=filter_.until,
    ):  # fmt: skip
        place = failures.c.message_id, failures.c.subscription_id
        query = select(*place, failures.c.generation, literal(State.FAILED.value).label("state")).order_by(*place)
        query = query.where(*id_clauses(failures.c.message_id, filter_.bounds(now)))
        if filter_.subscription:
            query = query.where(failures.c.subscription_id == subscription_number(filter_.subscription))
        if filter_.group:
            query = query.where(failures.c.fingerprint == bound("group", filter_.group, Text()))
        return query
    rows = log_rows(filter_, now)
    return rows.oldest_first(rows.select(rows.m.c.id, rows.d.c.subscription_id, rows.d.c.generation, rows.d.c.state))


def rows_of(filter_: Filter, bounds: Bounds, ends: Ends, way: Way | None, *, is_counted: bool) -> Rows:
    """Three forms of one query. A page reads its messages in order and looks up their deliveries, unless the states
    asked for are few among many and have their own index. What is counted reads whole ranges of both and joins
    them; where the filter asks nothing of the message but its time, `m` is left out. A failure group is read from
    its own index, and the deliveries and messages are looked up. What is found by id, key or ref comes first.
    """
    found: Any = None
    asks_nothing_of_messages = not (filter_.is_of_few or filter_.names or filter_.payload)

    def bounded(identity: Column) -> list[Column]:
        return [*id_clauses(identity, bounds), *ends.of_message(identity)]

    if filter_.group:
        d: Any = _delivery_of_failure().lateral(_OF_FAILURE)
        source: FromClause = failures.join(d, true())
    elif not filter_.find and (
        (is_counted and not filter_.is_of_few) or (filter_.states and set(filter_.states) <= _FEW)
    ):
        d = union_all(*_deliveries_of_range(filter_, bounds, ends)).subquery("of_range")
        source = d
    else:
        d = union_all(*_deliveries_of_message(filter_)).lateral(_OF_MESSAGE)
        source = messages.join(d, true())
        if filter_.find:
            found = search.found(filter_.find, bounded, way)
            source = found.join(messages, messages.c.id == found.c.id).join(d, true())
    where = _asked_of_failure(filter_, bounded, way) if filter_.group else []
    where += [*_asked_of_delivery(filter_, d), *ends.of_row(failures if filter_.group else d)]
    if d.name != _OF_MESSAGE and asks_nothing_of_messages:
        m: Any = messages if is_counted else _message_of(d).lateral("of_delivery")
        source = source if is_counted else source.join(m, true())
        return Rows(m, d, source, tuple(where))
    if d.name != _OF_MESSAGE:
        source = source.join(messages, messages.c.id == d.c.message_id)
    where += [*_asked_of_message(filter_, bounds), *ends.of_message(messages.c.id)]
    if filter_.states and set(filter_.states) <= set(MESSAGE_STATES):
        where.append(messages.c.routed == 0)
    return Rows(messages, d, source, tuple(where), found)


def _asked_of_failure(filter_: Filter, bounded: Callable[[Column], list[Column]], way: Way | None) -> list[Column]:
    clauses = [failures.c.fingerprint == bound("group", filter_.group, Text()), *bounded(failures.c.message_id)]
    if filter_.find:
        among = search.found(filter_.find, bounded, way)
        clauses.append(failures.c.message_id.in_(select(among.c.id)))
    return clauses


def message_clauses(filter_: Filter, bounds: Bounds) -> list[Column]:
    """What a filter asks of the message itself."""
    clauses = _asked_of_message(filter_, bounds)
    if filter_.find:
        found = search.found(filter_.find, lambda identity: id_clauses(identity, bounds))
        clauses.append(messages.c.id.in_(select(found.c.id)))
    return clauses


def _asked_of_message(filter_: Filter, bounds: Bounds) -> list[Column]:
    clauses = id_clauses(messages.c.id, bounds)
    if filter_.names:
        clauses.append(search.is_one_of(messages.c.name, filter_.names, "names"))
    if filter_.key:
        clauses.append(messages.c.key == bound("key", filter_.key, Text()))
    if filter_.correlation:
        clauses.append(messages.c.correlation_id == bound("correlation", filter_.correlation, Uuid()))
    if filter_.payload:
        clauses.append(messages.c.payload.op("@>")(cast(bound("payload", filter_.payload, Text()), JSONB)))
    return clauses


def _asked_of_delivery(filter_: Filter, d: Any) -> list[Column]:
    clauses = []
    # The failed of a range come from an index of their own, which does not tell the state.
    if filter_.states and (set(filter_.states) != {State.FAILED} or d.name == _OF_MESSAGE):
        clauses.append(is_in(d.c.state, filter_.states))
    if filter_.subscription:
        clauses.append(d.c.subscription_id == subscription_number(filter_.subscription))
    if filter_.error_type:
        clauses.append(d.c.error_type == bound("error_type", filter_.error_type, Text()))
    if filter_.error_text:
        clauses.append(d.c.error.icontains(bound("error_text", escaped(filter_.error_text), Text()), escape=ESCAPE))
    if filter_.raised:
        clauses.append(_has_raised(d))
    if filter_.ended_since:
        clauses.append(d.c.finished_at >= bound("ended_since", filter_.ended_since, DateTime(timezone=True)))
    return clauses


def is_in(column: Column, states: Sequence[State]) -> Column:
    """The states are a part of the shape."""
    if len(states) == 1:
        return column == states[0].value
    return column == any_(literal([state.value for state in states], ARRAY(Text())))


def id_clauses(identity: Column, bounds: Bounds, part: str = "") -> list[Column]:
    """Bounds of time as bounds of a message's id; part: where a statement has several, which ones."""
    since, until = bounds
    clauses = []
    if since:
        clauses.append(identity >= _id_floor(f"since{part}", since))
    if until:
        clauses.append(identity < _id_floor(f"until{part}", until))
    return clauses


def is_failure(d: Any) -> Column:
    """Joins a delivery to its row among the failures."""
    return and_(failures.c.message_id == d.c.message_id, failures.c.subscription_id == d.c.subscription_id)


def subscription_number(name: str) -> Any:
    return (
        select(subscriptions.c.id)
        .where(subscriptions.c.subscription == bound("subscription", name, Text()))
        .scalar_subquery()
    )


def subscription_name(number: Column) -> Any:
    """As a scalar subquery: a join could cost the rows their order."""
    return select(subscriptions.c.subscription).where(subscriptions.c.id == number).scalar_subquery()


def subscription_mode(number: Column) -> Any:
    return select(cast(subscriptions.c.mode, Text)).where(subscriptions.c.id == number).scalar_subquery()


def _has_raised(d: Any) -> Column:
    raised = attempts_table.alias("raised")
    same = (raised.c.message_id == d.c.message_id) & (raised.c.subscription_id == d.c.subscription_id)
    return exists().where(same)


# ── the deliveries, open and ended, and the messages without any ────────────────


def _deliveries_of_range(filter_: Filter, bounds: Bounds, ends: Ends) -> list[Select[Any]]:
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
        query.where(*id_clauses(identity, bounds), *ends.of_message(identity))
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
    return _ended_deliveries().where(same, e.state == _FAILED).correlate(failures).offset(_NONE)


def _message_of(d: Any) -> Select[Any]:
    """OFFSET 0, here as well: a planner that merged would read all messages down to the last failure."""
    m = messages_table.alias("looked_up")
    return select(*m.c).where(m.c.id == d.c.message_id).correlate(d).offset(_NONE)


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


def _id_floor(name: str, moment: datetime) -> Any:
    return func.buslog.id_floor(bound(name, moment, DateTime(timezone=True)))
