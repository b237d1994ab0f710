"""Counts from the series: what the workers have folded, and what they have not, counted live. Together they are exact,
as long as all is read in one snapshot: docs/decisions/0010-series.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    DateTime,
    Integer,
    Interval,
    Select,
    Text,
    any_,
    cast,
    func,
    literal,
    or_,
    select,
    union_all,
)

from buslog import db
from buslog.filter import EARLIEST, LATEST, Filter
from buslog.insights.rows import id_clauses, message_clauses, subscription_number
from buslog.insights.tables import MEASURES, XID8, deliveries, durations, facts, messages, series, subscriptions
from buslog.message import ENDED_STATES, MESSAGE_STATES, OPEN_STATES, State

MONDAY = datetime(2001, 1, 1, tzinfo=UTC)  # weeks begin on it, and every bucket lies on a multiple from it
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def said_at(identity: ColumnElement[Any]) -> ColumnElement[Any]:
    """The time that a message's id carries."""
    return func.buslog.id_time(identity)


_SAID_AT = said_at(facts.c.message_id)


class Piece(NamedTuple):
    """A part of a range of time: counted from rows of the series of this width, or live where it has none."""

    width: timedelta | None
    since: datetime
    until: datetime


class Folded(NamedTuple):
    """What the series have: see sql/series_state.sql."""

    first_unknown: str
    missing: list[str]
    minutes_from: datetime
    hours_from: datetime

    @property
    def widths(self) -> list[tuple[timedelta, datetime]]:
        """The widest first, and from when on it is kept."""
        return [(DAY, EARLIEST), (HOUR, self.hours_from), (MINUTE, self.minutes_from)]


def can_tell(filter_: Filter) -> bool:
    """Whether the series know what a filter asks for. They know the states as counts, not which message has which."""
    return not (
        filter_.is_of_few or filter_.error_type or filter_.error_text or filter_.payload or filter_.group
        or filter_.raised or filter_.ended_since
    )  # fmt: skip


def counts(
    connection: Connection, filter_: Filter, now: datetime, bucket: timedelta | None
) -> dict[datetime, dict[str, int]]:
    """Of each bucket of time that has any, the `MEASURES`; without a bucket all of them as one. Of a filter with a
    subscription only its deliveries are counted.
    """
    parts = []
    for part in _parts(_folded(connection), filter_, now, bucket, series):
        at = literal(MONDAY, DateTime(timezone=True)) if bucket is None else binned(part.moment, bucket)
        parts.append(part.sums((at.label("at"),), MEASURES))
    found: dict[datetime, dict[str, int]] = defaultdict(lambda: dict.fromkeys(MEASURES, 0))
    for at, *values in connection.execute(union_all(*parts)):
        _add(found[at.astimezone(UTC)], MEASURES, values)
    return found


def series_of(
    connection: Connection, filter_: Filter, now: datetime, bucket: timedelta
) -> dict[datetime, dict[str, int]]:
    """Messages, errors and failures by bucket of time, of those that have any. Of a filter with states its rows instead
    of messages, and no errors: an error knows of no state.
    """
    asked = set(filter_.states)
    if asked:
        said = [state.value for state in (*ENDED_STATES, *MESSAGE_STATES) if state in asked]
    else:
        # A message has one delivery of a subscription at most.
        said = [state.value for state in ENDED_STATES] if filter_.subscription else ["messages"]
    points = {}
    if said:
        for at, point in counts(connection, filter_, now, bucket).items():
            points[at] = {
                "messages": sum(point[one] for one in said),
                "errors": 0 if asked else point["errors"],
                "failures": 0 if asked and State.FAILED not in asked else point["failed"],
            }
    if asked & set(OPEN_STATES) or (filter_.subscription and not asked):
        start = binned(said_at(deliveries.c.message_id), bucket)
        for at, number in connection.execute(unfinished(filter_, now, start)):
            point = points.setdefault(at.astimezone(UTC), {"messages": 0})
            point["messages"] += number
    return points


def by_state(connection: Connection, filter_: Filter, now: datetime) -> dict[State, int]:
    """How many rows are in each state, of those that have any."""
    states = unfinished(filter_, now, cast(deliveries.c.state, Text))
    found = {State(state): number for state, number in connection.execute(states)}
    for point in counts(connection, filter_, now, None).values():
        found |= {state: point[state] for state in (*ENDED_STATES, *MESSAGE_STATES) if point[state]}
    return found


def by_subscription(connection: Connection, filter_: Filter, now: datetime) -> dict[int, dict[str, int]]:
    """Of each subscription that has any, how many deliveries ended in each way."""
    parts = _parts(_folded(connection), filter_, now, None, series, each=True)
    sums = union_all(*(part.sums((part.table.c.subscription_id,), ENDED_STATES) for part in parts))
    found: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(ENDED_STATES, 0))
    for number, *values in connection.execute(sums):
        _add(found[number], ENDED_STATES, values)
    return found


def lasted(connection: Connection, filter_: Filter, now: datetime) -> dict[int, Counter[int]]:
    """Of each subscription, how many last attempts there are in each bucket of `buslog.duration_bucket`."""
    parts = []
    for part in _parts(_folded(connection), filter_, now, None, durations, each=True):
        c = part.table.c
        parts.append(part.sums((c.subscription_id, c.bucket), ("deliveries",)).where(c.bucket.is_not(None)))
    found: dict[int, Counter[int]] = defaultdict(Counter)
    for number, bucket, value in connection.execute(union_all(*parts)):
        found[number][bucket] += int(value)
    return found


def quantile(buckets: Counter[int], share: float) -> timedelta | None:
    """The duration that this share of attempts stays below, to within a tenth; None where there are none."""
    rank = share * buckets.total()
    reached = 0
    for bucket in sorted(buckets):
        reached += buckets[bucket]
        if buckets[bucket] and reached >= rank:
            return timedelta(microseconds=2 ** ((bucket + 0.5) / 4))
    return None


def binned(moment: ColumnElement[Any], bucket: timedelta) -> ColumnElement[Any]:
    return func.date_bin(literal(bucket, Interval()), moment, literal(MONDAY, DateTime(timezone=True)))


# ── a range in pieces ───────────────────────────────────────────────────────────


def split(since: datetime, until: datetime, widths: Sequence[tuple[timedelta, datetime]]) -> list[Piece]:
    """A range of time in as few rows as can be: the widest that fit in the middle, narrower ones around them, and what
    lies on no minute at the ends. A width is kept from its moment on.
    """
    if since >= until:
        return []
    if not widths:
        return [Piece(None, since, until)]
    (width, kept_from), *narrower = widths
    low = MONDAY - (MONDAY - max(since, kept_from)) // width * width
    high = MONDAY + (until - MONDAY) // width * width
    if low >= high:
        return split(since, until, narrower)
    return [*split(since, low, narrower), Piece(width, low, high), *split(high, until, narrower)]


def _folded(connection: Connection) -> Folded | None:
    row = connection.exec_driver_sql(db.query("series_state")).one_or_none()
    return Folded(*row) if row else None


class Part(NamedTuple):
    """Rows to be added up, of the series or of what is counted live."""

    table: Any
    moment: ColumnElement[Any]
    where: list[ColumnElement[Any]]

    def sums(self, groups: Sequence[ColumnElement[Any]], measures: Sequence[str]) -> Select[Any]:
        sums = (func.sum(self.table.c[measure]).label(measure) for measure in measures)
        return select(*groups, *sums).where(*self.where).group_by(*groups)


def _parts(
    folded: Folded | None,
    filter_: Filter,
    now: datetime,
    bucket: timedelta | None,
    table: Any,
    *,
    each: bool = False,
) -> Iterable[Part]:
    """What is to be added up for a filter; `each`: by subscription."""
    since, until = filter_.bounds(now)
    widths = [] if folded is None else [w for w in folded.widths if bucket is None or not bucket % w[0]]
    pieces = split(since or EARLIEST, until or LATEST, widths)
    live = _asked(filter_, facts, each=each)
    for width, low, high in pieces:
        if width is None:
            yield Part(facts, _SAID_AT, [*id_clauses(facts.c.message_id, (low, high)), *live])
        else:
            within = [table.c.width == int(width.total_seconds()), table.c.at >= low, table.c.at < high]
            yield Part(table, table.c.at, [*within, *_asked(filter_, table, each=each)])
    counted = [piece for piece in pieces if piece.width]  # next to each other: what has none lies at the ends
    if folded is not None and counted:
        within = id_clauses(facts.c.message_id, (counted[0].since, counted[-1].until))
        yield Part(facts, _SAID_AT, [_is_not_folded(folded), *within, *live])


def _is_not_folded(folded: Folded) -> ColumnElement[Any]:
    unknown = facts.c.xid >= cast(literal(folded.first_unknown, Text()), XID8)
    if not folded.missing:
        return unknown
    return or_(unknown, facts.c.xid == any_(cast(literal(folded.missing, ARRAY(Text())), ARRAY(XID8))))


def _asked(filter_: Filter, table: Any, *, each: bool) -> list[ColumnElement[Any]]:
    """The filter's names and subscription; the series have a row for all names, and for all subscriptions."""
    asked: list[ColumnElement[Any]] = []
    number = table.c.subscription_id
    if filter_.names or table is series:
        asked.append(_is_among(table.c.name, filter_.names or ("",)))
    if filter_.subscription:
        asked.append(number == subscription_number(filter_.subscription))
    elif each and table is facts:
        asked.append(number != 0)
    elif each:
        asked.append(number == any_(func.array(select(subscriptions.c.id).scalar_subquery(), type_=ARRAY(Integer()))))
    elif table is series:
        asked.append(number == 0)
    return asked


def unfinished(filter_: Filter, now: datetime, group: ColumnElement[Any]) -> Select[Any]:
    """How many unfinished deliveries of a filter there are of each group: they are few, and counted live."""
    of = group.label("of")
    return unfinished_of(filter_, now, of, func.count()).group_by(of)


def unfinished_of(filter_: Filter, now: datetime, *columns: ColumnElement[Any]) -> Select[Any]:
    bounds = filter_.bounds(now)
    query = select(*columns).select_from(deliveries).where(*id_clauses(deliveries.c.message_id, bounds))
    if filter_.names:
        query = query.join(messages, messages.c.id == deliveries.c.message_id).where(*message_clauses(filter_, bounds))
    if filter_.subscription:
        query = query.where(deliveries.c.subscription_id == subscription_number(filter_.subscription))
    if filter_.states:
        # As text: the states of a filter need not be some that an unfinished delivery can have.
        query = query.where(_is_among(cast(deliveries.c.state, Text), [state.value for state in filter_.states]))
    return query


def _add(sums: dict[str, int], measures: Sequence[str], values: Sequence[Any]) -> None:
    for measure, value in zip(measures, values, strict=True):
        sums[measure] += int(value)


def _is_among(column: ColumnElement[Any], names: Sequence[str]) -> ColumnElement[Any]:
    return column == names[0] if len(names) == 1 else column == any_(literal(list(names), ARRAY(Text())))
