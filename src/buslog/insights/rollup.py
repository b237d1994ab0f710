"""Counts from the series: what the workers have folded, and what they have not, counted live. Together they are exact,
as long as all is read in one snapshot: docs/decisions/0010-series.md.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import add
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CompoundSelect,
    DateTime,
    Integer,
    Interval,
    Select,
    Text,
    any_,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)

from buslog import db
from buslog.filter import EARLIEST, LATEST, Filter
from buslog.insights.rows import id_clauses, is_in, message_clauses, subscription_number
from buslog.insights.search import is_one_of
from buslog.insights.shapes import shape_of, values_of
from buslog.insights.statements import bound, kept
from buslog.insights.tables import MEASURES, XID8, deliveries, durations, facts, messages, series, subscriptions
from buslog.message import ENDED_STATES, MESSAGE_STATES, OPEN_STATES, State

MONDAY = datetime(2001, 1, 1, tzinfo=UTC)  # weeks begin on it, and every bucket lies on a multiple from it
K = TypeVar("K")

_TIME = DateTime(timezone=True)
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
    connection: db.Connection, filter_: Filter, now: datetime, bucket: timedelta | None
) -> dict[datetime, dict[str, int]]:
    """Of each bucket of time that has any, the `MEASURES`; without a bucket all of them as one. Of a filter with a
    subscription only its deliveries are counted.
    """
    if filter_.states and set(filter_.states) <= set(OPEN_STATES):  # of which it knows nothing
        return {}
    layout, values = _laid_out(connection, filter_, now, bucket)
    sums = (_sums_by_time if bucket else _sums)(layout)
    found: dict[datetime, dict[str, int]] = {}
    for at, *measured in sums.on(connection, values).fetchall():
        _add(found, at.astimezone(UTC), MEASURES, measured)
    return found


def series_of(
    connection: db.Connection,
    filter_: Filter,
    now: datetime,
    bucket: timedelta,
    counted: Mapping[datetime, Mapping[str, int]],
) -> dict[datetime, dict[str, int]]:
    """Messages, errors and failures by bucket of time, of those that have any, from the counts of these buckets. Of a
    filter with states its rows instead of messages, and no errors: an error knows of no state.
    """
    asked = set(filter_.states)
    if asked:
        said = [state.value for state in (*ENDED_STATES, *MESSAGE_STATES) if state in asked]
    else:
        # A message has one delivery of a subscription at most.
        said = [state.value for state in ENDED_STATES] if filter_.subscription else ["messages"]
    points = {}
    if said:
        for at, point in counted.items():
            points[at] = {
                "messages": sum(point[one] for one in said),
                "errors": 0 if asked else point["errors"],
                "failures": 0 if asked and State.FAILED not in asked else point["failed"],
            }
    if asked & set(OPEN_STATES) or (filter_.subscription and not asked):
        values = {**values_of(filter_, now), "bucket": bucket}
        for at, number in _unfinished_by_time(shape_of(filter_, now)).on(connection, values):
            point = points.setdefault(at.astimezone(UTC), {"messages": 0})
            point["messages"] += number
    return points


def by_state(connection: db.Connection, filter_: Filter, now: datetime) -> dict[State, int]:
    """How many rows are in each state, of those that have any."""
    found = unfinished_by_state(connection, filter_, now)
    for point in counts(connection, filter_, now, None).values():
        found |= {state: point[state] for state in (*ENDED_STATES, *MESSAGE_STATES) if point[state]}
    return found


def by_subscription(connection: db.Connection, filter_: Filter, now: datetime) -> dict[int, dict[str, int]]:
    """Of each subscription that has any, how many deliveries ended in each way."""
    layout, values = _laid_out(connection, filter_, now, None, each=True)
    found: dict[int, dict[str, int]] = {}
    for number, *measured in _sums_by_subscription(layout).on(connection, values).fetchall():
        _add(found, number, ENDED_STATES, measured)
    return found


def lasted_by_subscription(connection: db.Connection, filter_: Filter, now: datetime) -> dict[int, Counter[int]]:
    """Of each subscription, how many last attempts there are in each bucket of `buslog.duration_bucket`."""
    layout, values = _laid_out(connection, filter_, now, None, each=True)
    found: dict[int, Counter[int]] = defaultdict(Counter)
    for number, bucket, deliveries_ in _durations_by_subscription(layout).on(connection, values):
        found[number][bucket] += int(deliveries_)
    return found


def lasted(connection: db.Connection, filter_: Filter, now: datetime) -> Counter[int]:
    """The same of all of the filter's subscriptions together."""
    layout, values = _laid_out(connection, filter_, now, None)
    found: Counter[int] = Counter()
    for bucket, deliveries_ in _durations(layout).on(connection, values):
        found[bucket] += int(deliveries_)
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


def binned(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    """The beginning of its bucket, whose width is bound as `bucket`."""
    return func.date_bin(bound("bucket", None, Interval()), moment, literal(MONDAY, _TIME))


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


def _folded(connection: db.Connection) -> Folded | None:
    row = connection.execute(db.query("series_state"), prepare=True).fetchone()
    return Folded(*row) if row else None


class Layout(NamedTuple):
    """What makes the text of a look's statement. widths: of its pieces, in seconds, None for what is counted live.
    each: by subscription; is_folded: the series have something; has_missing: and lack earlier transactions.
    """

    shape: Filter
    widths: tuple[int | None, ...]
    each: bool
    is_folded: bool
    has_missing: bool


def _laid_out(
    connection: db.Connection, filter_: Filter, now: datetime, bucket: timedelta | None, *, each: bool = False
) -> tuple[Layout, dict[str, Any]]:
    """What is to be added up for a filter, and the values that are bound in it."""
    folded = _folded(connection)
    since, until = filter_.bounds(now)
    kept_widths = [] if folded is None else [w for w in folded.widths if bucket is None or not bucket % w[0]]
    pieces = split(since or EARLIEST, until or LATEST, kept_widths)
    values = {**values_of(filter_, now), "bucket": bucket}
    for number, piece in enumerate(pieces):
        values[f"since{number}"], values[f"until{number}"] = piece.since, piece.until
    counted = [piece for piece in pieces if piece.width]  # next to each other: what has none lies at the ends
    if folded and counted:
        values["since_counted"], values["until_counted"] = counted[0].since, counted[-1].until
        values["first_unknown"], values["missing"] = folded.first_unknown, folded.missing
    widths = tuple(int(piece.width.total_seconds()) if piece.width else None for piece in pieces)
    has_missing = folded is not None and bool(folded.missing)
    return Layout(shape_of(filter_, now), widths, each, folded is not None, has_missing), values


class Part(NamedTuple):
    """Rows to be added up, of the series or of what is counted live."""

    table: Any
    moment: ColumnElement[Any]
    where: list[ColumnElement[Any]]

    def sums(self, groups: Sequence[ColumnElement[Any]], measures: Sequence[str]) -> Select[Any]:
        sums = (func.sum(self.table.c[measure]).label(measure) for measure in measures)
        return select(*groups, *sums).where(*self.where).group_by(*groups)


def _parts(layout: Layout, table: Any) -> Iterator[Part]:
    live = _asked(layout, facts)
    for number, width in enumerate(layout.widths):
        since, until = (bound(f"{end}{number}", None, _TIME) for end in ("since", "until"))
        if width is None:
            yield Part(facts, _SAID_AT, [*id_clauses(facts.c.message_id, (EARLIEST, LATEST), str(number)), *live])
        else:
            within = [table.c.width == literal_column(str(width)), table.c.at >= since, table.c.at < until]
            yield Part(table, table.c.at, [*within, *_asked(layout, table)])
    if layout.is_folded and any(layout.widths):
        within = id_clauses(facts.c.message_id, (EARLIEST, LATEST), "_counted")
        yield Part(facts, _SAID_AT, [_is_not_folded(layout), *within, *live])


def _is_not_folded(layout: Layout) -> ColumnElement[Any]:
    unknown = facts.c.xid >= cast(bound("first_unknown", None, Text()), XID8)
    if not layout.has_missing:
        return unknown
    return or_(unknown, facts.c.xid == any_(cast(bound("missing", None, ARRAY(Text())), ARRAY(XID8))))


def _asked(layout: Layout, table: Any) -> list[ColumnElement[Any]]:
    """The filter's names and subscription; the series have a row for all names, and for all subscriptions."""
    asked: list[ColumnElement[Any]] = []
    number = table.c.subscription_id
    if layout.shape.names:
        asked.append(is_one_of(table.c.name, layout.shape.names, "names"))
    elif table is series:
        asked.append(table.c.name == literal_column("''"))
    if layout.shape.subscription:
        asked.append(number == subscription_number(layout.shape.subscription))
    elif layout.each and table is facts:
        asked.append(number != literal_column("0"))
    elif layout.each:
        asked.append(number == any_(func.array(select(subscriptions.c.id).scalar_subquery(), type_=ARRAY(Integer()))))
    elif table is not facts:
        asked.append(number == literal_column("0"))
    return asked


@kept
def _sums(layout: Layout) -> CompoundSelect[Any]:
    at = literal(MONDAY, _TIME).label("at")
    return union_all(*(part.sums((at,), MEASURES) for part in _parts(layout, series)))


@kept
def _sums_by_time(layout: Layout) -> CompoundSelect[Any]:
    return union_all(*(part.sums((binned(part.moment).label("at"),), MEASURES) for part in _parts(layout, series)))


@kept
def _sums_by_subscription(layout: Layout) -> CompoundSelect[Any]:
    return union_all(*(part.sums((part.table.c.subscription_id,), ENDED_STATES) for part in _parts(layout, series)))


@kept
def _durations_by_subscription(layout: Layout) -> CompoundSelect[Any]:
    return union_all(*_sums_of_durations(layout, lambda c: (c.subscription_id, c.bucket)))


@kept
def _durations(layout: Layout) -> CompoundSelect[Any]:
    return union_all(*_sums_of_durations(layout, lambda c: (c.bucket,)))


def _sums_of_durations(layout: Layout, groups: Callable[[Any], Sequence[ColumnElement[Any]]]) -> Iterator[Select[Any]]:
    for part in _parts(layout, durations):
        yield part.sums(groups(part.table.c), ("deliveries",)).where(part.table.c.bucket.is_not(None))


# ── what has not ended: few, and counted live ───────────────────────────────────


def unfinished_by_state(connection: db.Connection, filter_: Filter, now: datetime) -> dict[State, int]:
    found = _unfinished_by_state(shape_of(filter_, now)).on(connection, values_of(filter_, now))
    return {State(state): number for state, number in found}


def oldest_unfinished(connection: db.Connection, filter_: Filter, now: datetime) -> tuple[datetime, UUID] | None:
    """When its message was emitted, and which."""
    return _oldest_unfinished(shape_of(filter_, now)).on(connection, values_of(filter_, now)).fetchone()


@kept
def _unfinished_by_state(shape: Filter) -> Select[Any]:
    state = cast(deliveries.c.state, Text).label("of")
    return _unfinished(shape, state, func.count()).group_by(state)


@kept
def _unfinished_by_time(shape: Filter) -> Select[Any]:
    at = binned(said_at(deliveries.c.message_id)).label("of")
    return _unfinished(shape, at, func.count()).group_by(at)


@kept
def _oldest_unfinished(shape: Filter) -> Select[Any]:
    message_id = deliveries.c.message_id
    return _unfinished(shape, said_at(message_id), message_id).order_by(message_id).limit(literal_column("1"))


def _unfinished(shape: Filter, *columns: ColumnElement[Any]) -> Select[Any]:
    bounds = shape.since, shape.until
    query = select(*columns).select_from(deliveries).where(*id_clauses(deliveries.c.message_id, bounds))
    if shape.names:
        query = query.join(messages, messages.c.id == deliveries.c.message_id).where(*message_clauses(shape, bounds))
    if shape.subscription:
        query = query.where(deliveries.c.subscription_id == subscription_number(shape.subscription))
    if shape.states:
        # As text: the states of a filter need not be some that an unfinished delivery can have.
        query = query.where(is_in(cast(deliveries.c.state, Text), shape.states))
    return query


def _add(found: dict[K, dict[str, int]], of: K, measures: Sequence[str], values: Sequence[int]) -> None:
    """A bucket is told by one piece, mostly."""
    known = found.get(of)
    found[of] = dict(zip(measures, values if known is None else map(add, known.values(), values), strict=True))
