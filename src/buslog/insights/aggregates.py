"""Counts over the rows of a Filter: totals, and series over time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Subquery,
    func,
    literal,
    select,
    union,
)

from buslog.filter import Filter
from buslog.insights import rollup, search
from buslog.insights.model import Count, Outside, Point, Series, Tally
from buslog.insights.rollup import MONDAY
from buslog.insights.rows import Cursor, id_clauses, log_rows, message_clauses
from buslog.insights.tables import attempts, messages
from buslog.message import State

COUNTED = 10_000
OFFERED = 100

_BUCKETS = tuple(
    timedelta(seconds=seconds)
    for seconds in (1, 10, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 86_400, 7 * 86_400, 28 * 86_400, 364 * 86_400)
)
_MOST_BUCKETS = 240


def count(connection: Connection, filter_: Filter, now: datetime) -> Count:
    """Exact up to `COUNTED`."""
    some = _some(filter_, now)
    found = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return Count(min(found, COUNTED), is_capped=found > COUNTED)


def newer(connection: Connection, filter_: Filter, now: datetime, than: Cursor) -> Count:
    """Exact up to `OFFERED`."""
    rows = log_rows(filter_, now, newer_than=than)
    some = rows.select(literal(1, Integer)).limit(OFFERED + 1).subquery()
    found = connection.execute(select(func.count()).select_from(some)).scalar_one()
    return Count(min(found, OFFERED), is_capped=found > OFFERED)


def tally(connection: Connection, filter_: Filter, now: datetime) -> Tally:
    """Counted over the newest `COUNTED` rows."""
    some = _some(filter_, now)
    m_id, name, key = (func.count(column.distinct()) for column in (some.c.id, some.c.name, some.c.key))
    found, *different = connection.execute(select(func.count(), m_id, name, key).select_from(some)).one()
    return Tally(Count(min(found, COUNTED), is_capped=found > COUNTED), *different)


def _some(filter_: Filter, now: datetime) -> Subquery:
    """The newest rows, at most one more than is counted; of what is found in two ways, of each."""
    ways = []
    for way in search.ways(filter_.find):
        rows = log_rows(filter_, now, way=way)
        query = rows.select(rows.m.c.id, rows.d.c.subscription_id, rows.m.c.name, rows.m.c.key)
        ways.append(select(rows.newest_first(query).limit(COUNTED + 1).subquery()))
    return (union(*ways) if len(ways) > 1 else ways[0]).subquery()


def outside(connection: Connection, filter_: Filter, now: datetime) -> Outside:
    since, until = filter_.bounds(now)
    nothing = Count(0)
    if filter_.payload and not filter_.is_of_few:  # each payload out there would have to be read
        return Outside(nothing, nothing)
    return Outside(
        older=count(connection, filter_.between(None, since), now) if since else nothing,
        newer=count(connection, filter_.between(until, None), now) if until else nothing,
    )


def by_state(connection: Connection, filter_: Filter, now: datetime) -> dict[State, int]:
    if rollup.can_tell(filter_):
        found = rollup.by_state(connection, filter_, now)
        return {state: number for state, number in found.items() if not filter_.states or state in filter_.states}
    rows = log_rows(filter_, now, is_counted=True)
    query = rows.select(rows.d.c.state, func.count()).group_by(rows.d.c.state)
    return {State(state): number for state, number in connection.execute(query)}


# ── series ──────────────────────────────────────────────────────────────────────


def series(connection: Connection, filter_: Filter, now: datetime) -> Series:
    since, until = _extent(connection, filter_, now)
    if since is None or until is None:
        return Series(_BUCKETS[-1], [])
    bucket = next((b for b in _BUCKETS if (until - since) / b < _MOST_BUCKETS), _BUCKETS[-1])
    is_folded = rollup.can_tell(filter_) and bucket >= rollup.MINUTE
    points = (rollup.series_of if is_folded else _counted)(connection, filter_, now, bucket)
    first = MONDAY + (since - MONDAY) // bucket * bucket
    steps = (until - first) // bucket + 1
    asked = filter_.bounds(now)
    return Series(
        bucket, [Point(at, **points.get(at, {})) for at in (first + i * bucket for i in range(steps))],
        counts_rows=filter_.asks_of_deliveries, knows_errors=not (is_folded and filter_.states),
        since=asked[0], until=asked[1],
    )  # fmt: skip


def _counted(
    connection: Connection, filter_: Filter, now: datetime, bucket: timedelta
) -> dict[datetime, dict[str, int]]:
    """What the series cannot tell, counted from the log."""
    points: dict[datetime, dict[str, int]] = {}
    for kind, query in (
        ("messages", _messages_by_time(filter_, now, bucket)),
        ("errors", _errors_by_time(filter_, now, bucket)),
        ("failures", _failures_by_time(filter_, now, bucket)),
    ):
        if query is not None:
            for at, number in connection.execute(query):
                points.setdefault(at.astimezone(UTC), {})[kind] = number
    return points


def _extent(connection: Connection, filter_: Filter, now: datetime) -> tuple[datetime | None, datetime | None]:
    """The time a chart spans: the filter's, and where that is open the first and last message's."""
    since, until = filter_.bounds(now)
    if since and until is None:
        return since, max(now, since)
    clauses = message_clauses(filter_, (since, until))
    ends = []
    for given, order in ((since, messages.c.id), (until, messages.c.id.desc())):
        newest = select(messages.c.emitted_at).where(*clauses).order_by(order).limit(1)
        ends.append(given or connection.execute(newest).scalar())
    # until is excluded
    return ends[0], ends[1] if ends[1] != until or until is None else until - timedelta(microseconds=1)


def _by_time(query: Select[Any], identity: ColumnElement[Any], bucket: timedelta, counted: Any) -> Select[Any]:
    """By the time that the message's id carries, without a look at the message."""
    at = rollup.binned(rollup.said_at(identity), bucket).label("at")
    return query.with_only_columns(at, counted).group_by(at)


def _messages_by_time(filter_: Filter, now: datetime, bucket: timedelta) -> Select[Any]:
    if filter_.asks_of_deliveries:
        rows = log_rows(filter_, now, is_counted=True)
        return _by_time(rows.select(), rows.d.c.message_id, bucket, func.count())
    query = select(messages.c.id).where(*message_clauses(filter_, filter_.bounds(now)))
    return _by_time(query, messages.c.id, bucket, func.count())


def _errors_by_time(filter_: Filter, now: datetime, bucket: timedelta) -> Select[Any]:
    """Attempts that raised, of the filter's deliveries in all their generations."""
    raised = attempts.c
    bounds = filter_.bounds(now)
    query: Select[Any]
    if filter_.asks_of_deliveries:
        rows = log_rows(filter_, now, is_counted=True)
        same = (raised.message_id == rows.d.c.message_id) & (raised.subscription_id == rows.d.c.subscription_id)
        query = rows.select().join_from(rows.source, attempts, same)
    else:
        query = (
            select()
            .select_from(attempts.join(messages, messages.c.id == raised.message_id))
            .where(*message_clauses(filter_, bounds))
        )
    query = query.where(*id_clauses(raised.message_id, bounds))
    return _by_time(query, raised.message_id, bucket, func.count())


def _failures_by_time(filter_: Filter, now: datetime, bucket: timedelta) -> Select[Any] | None:
    failed = failed_of(filter_)
    if failed is None:
        return None
    rows = log_rows(failed, now, is_counted=True)
    return _by_time(rows.select(), rows.d.c.message_id, bucket, func.count())


# ── failures ────────────────────────────────────────────────────────────────────


def failed_of(filter_: Filter) -> Filter | None:
    """The same filter, of failed deliveries only; None when it asks for other states."""
    if filter_.states and State.FAILED not in filter_.states:
        return None
    return replace(filter_, states=(State.FAILED,))
