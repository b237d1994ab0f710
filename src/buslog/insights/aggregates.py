"""Counts over the rows of a Filter: totals, and series over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    func,
    literal_column,
    select,
    union,
)

from buslog import db
from buslog.filter import Filter
from buslog.insights import rollup, search
from buslog.insights.ends import Cursor, Ends
from buslog.insights.model import Count, Outside, Point, Series, Tally
from buslog.insights.rollup import MONDAY
from buslog.insights.rows import id_clauses, message_clauses, shaped_rows
from buslog.insights.shapes import shape_of, values_of
from buslog.insights.statements import kept
from buslog.insights.tables import attempts, messages
from buslog.message import State

COUNTED = 10_000
OFFERED = 100

_BUCKETS = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400, 28 * 86_400, 364 * 86_400)
)
_MOST_BUCKETS = 240


def count(connection: db.Connection, filter_: Filter, now: datetime) -> Count:
    """Exact up to `COUNTED`."""
    (found,) = _one(_how_many(shape_of(filter_, now)).on(connection, values_of(filter_, now)))
    return Count(min(found, COUNTED), is_capped=found > COUNTED)


def newer(connection: db.Connection, filter_: Filter, now: datetime, than: Cursor) -> Count:
    """Exact up to `OFFERED`."""
    values = {**values_of(filter_, now), **Ends(newer_than=than).values}
    (found,) = _one(_how_many_newer(shape_of(filter_, now)).on(connection, values, prepare=True))
    return Count(min(found, OFFERED), is_capped=found > OFFERED)


def tally(connection: db.Connection, filter_: Filter, now: datetime) -> Tally:
    """Counted over the newest `COUNTED` rows."""
    found, *different = _one(_how_many_different(shape_of(filter_, now)).on(connection, values_of(filter_, now)))
    return Tally(Count(min(found, COUNTED), is_capped=found > COUNTED), *different)


@kept
def _how_many(shape: Filter) -> Select[Any]:
    return select(func.count()).select_from(_some(shape))


@kept
def _how_many_newer(shape: Filter) -> Select[Any]:
    rows = shaped_rows(shape, Ends(newer_than=Cursor(UUID(int=0), 0)))
    return select(func.count()).select_from(rows.select(literal_column("1")).limit(_places(OFFERED)).subquery())


@kept
def _how_many_different(shape: Filter) -> Select[Any]:
    some = _some(shape)
    different: list[Any] = [func.count(column.distinct()) for column in (some.c.id, some.c.name, some.c.key)]
    return select(func.count(), *different).select_from(some)


def _some(shape: Filter) -> Subquery:
    """The newest rows, at most one more than is counted; of what is found in two ways, of each."""
    ways = []
    for way in search.ways(shape.find):
        rows = shaped_rows(shape, way=way)
        query = rows.select(rows.m.c.id, rows.d.c.subscription_id, rows.m.c.name, rows.m.c.key)
        ways.append(select(rows.newest_first(query).limit(_places(COUNTED)).subquery()))
    return (union(*ways) if len(ways) > 1 else ways[0]).subquery()


def _places(counted: int) -> ColumnElement[int]:
    """One more than is counted; in the text, see `listing`."""
    return literal_column(str(counted + 1), Integer)


def _one(found: db.Cursor) -> tuple[Any, ...]:
    """The only row of an aggregate."""
    row = found.fetchone()
    assert row is not None
    return row


def outside(connection: db.Connection, filter_: Filter, now: datetime) -> Outside:
    since, until = filter_.bounds(now)
    nothing = Count(0)
    if filter_.payload and not filter_.is_of_few:  # each payload out there would have to be read
        return Outside(nothing, nothing)
    return Outside(
        older=count(connection, filter_.between(None, since), now) if since else nothing,
        newer=count(connection, filter_.between(until, None), now) if until else nothing,
    )


def by_state(connection: db.Connection, filter_: Filter, now: datetime) -> dict[State, int]:
    if rollup.can_tell(filter_):
        found = rollup.by_state(connection, filter_, now)
        return {state: number for state, number in found.items() if not filter_.states or state in filter_.states}
    counted = _counted_by_state(shape_of(filter_, now)).on(connection, values_of(filter_, now))
    return {State(state): number for state, number in counted}


@kept
def _counted_by_state(shape: Filter) -> Select[Any]:
    rows = shaped_rows(shape, is_counted=True)
    return rows.select(rows.d.c.state, func.count()).group_by(rows.d.c.state)


# ── series ──────────────────────────────────────────────────────────────────────


def series(connection: db.Connection, filter_: Filter, now: datetime) -> Series:
    return series_and_counts(connection, filter_, now)[0]


def series_and_counts(
    connection: db.Connection, filter_: Filter, now: datetime
) -> tuple[Series, Mapping[datetime, Mapping[str, int]]]:
    """The series; and the counts of the rollup that it was drawn from, if it was."""
    since, until = _extent(connection, filter_, now)
    if since is None or until is None:
        return Series(_BUCKETS[-1], []), {}
    bucket = next((b for b in _BUCKETS if (until - since) / b < _MOST_BUCKETS), _BUCKETS[-1])
    is_folded = rollup.can_tell(filter_) and bucket >= rollup.MINUTE
    counted = rollup.counts(connection, filter_, now, bucket) if is_folded else {}
    if is_folded:
        points = rollup.series_of(connection, filter_, now, bucket, counted)
    else:
        points = _counted(connection, filter_, now, bucket)
    first = MONDAY + (since - MONDAY) // bucket * bucket
    steps = (until - first) // bucket + 1
    asked = filter_.bounds(now)
    return Series(
        bucket, [Point(at, **points.get(at, {})) for at in (first + i * bucket for i in range(steps))],
        counts_rows=filter_.asks_of_deliveries, knows_errors=not (is_folded and filter_.states),
        since=asked[0], until=asked[1],
    ), counted  # fmt: skip


def _counted(
    connection: db.Connection, filter_: Filter, now: datetime, bucket: timedelta
) -> dict[datetime, dict[str, int]]:
    """What the series cannot tell, counted from the log."""
    points: dict[datetime, dict[str, int]] = {}
    failed = failed_of(filter_)
    for kind, asked, query in (
        ("messages", filter_, _messages_by_time),
        ("errors", filter_, _errors_by_time),
        ("failures", failed, _failures_by_time),
    ):
        if asked is not None:
            values = {**values_of(asked, now), "bucket": bucket}
            for at, number in query(shape_of(asked, now)).on(connection, values):
                points.setdefault(at.astimezone(UTC), {})[kind] = number
    return points


def _extent(connection: db.Connection, filter_: Filter, now: datetime) -> tuple[datetime | None, datetime | None]:
    """The time a chart spans: the filter's, and where that is open the first and last message's."""
    since, until = filter_.bounds(now)
    if since and until is None:
        return since, max(now, since)
    shape, values = shape_of(filter_, now), values_of(filter_, now)
    ends = []
    for given, is_last in ((since, False), (until, True)):
        found = given or _first_or_last(shape, is_last=is_last).on(connection, values).fetchone()
        ends.append(found[0] if isinstance(found, tuple) else found)
    # until is excluded
    return ends[0], ends[1] if ends[1] != until or until is None else until - timedelta(microseconds=1)


@kept
def _first_or_last(shape: Filter, *, is_last: bool) -> Select[Any]:
    clauses = message_clauses(shape, (shape.since, shape.until))
    order = messages.c.id.desc() if is_last else messages.c.id
    return select(messages.c.emitted_at).where(*clauses).order_by(order).limit(literal_column("1"))


def _by_time(query: Select[Any], identity: ColumnElement[Any], counted: Any) -> Select[Any]:
    """By the time that the message's id carries, without a look at the message."""
    at = rollup.binned(rollup.said_at(identity)).label("at")
    return query.with_only_columns(at, counted).group_by(at)


@kept
def _messages_by_time(shape: Filter) -> Select[Any]:
    if shape.asks_of_deliveries:
        rows = shaped_rows(shape, is_counted=True)
        return _by_time(rows.select(), rows.d.c.message_id, func.count())
    query = select(messages.c.id).where(*message_clauses(shape, (shape.since, shape.until)))
    return _by_time(query, messages.c.id, func.count())


@kept
def _errors_by_time(shape: Filter) -> Select[Any]:
    """Attempts that raised, of the filter's deliveries in all their generations."""
    raised = attempts.c
    bounds = (shape.since, shape.until)
    query: Select[Any]
    if shape.asks_of_deliveries:
        rows = shaped_rows(shape, is_counted=True)
        same = (raised.message_id == rows.d.c.message_id) & (raised.subscription_id == rows.d.c.subscription_id)
        query = rows.select().join_from(rows.source, attempts, same)
    else:
        query = (
            select()
            .select_from(attempts.join(messages, messages.c.id == raised.message_id))
            .where(*message_clauses(shape, bounds))
        )
    query = query.where(*id_clauses(raised.message_id, bounds))
    return _by_time(query, raised.message_id, func.count())


@kept
def _failures_by_time(shape: Filter) -> Select[Any]:
    rows = shaped_rows(shape, is_counted=True)
    return _by_time(rows.select(), rows.d.c.message_id, func.count())


# ── failures ────────────────────────────────────────────────────────────────────


def failed_of(filter_: Filter) -> Filter | None:
    """The same filter, of failed deliveries only; None when it asks for other states."""
    if filter_.states and State.FAILED not in filter_.states:
        return None
    return replace(filter_, states=(State.FAILED,))
