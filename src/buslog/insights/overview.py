"""The figures of the Overview, read together: what it shows is of one moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from buslog import db
from buslog.errors import InvalidFilter
from buslog.filter import Filter, Range
from buslog.insights import aggregates, rollup
from buslog.insights.model import Backlog, Series, failure_rate
from buslog.message import OPEN_STATES, State


@dataclass(frozen=True, slots=True)
class Release:
    """A version of somebody's code, and when a worker first came in with it."""

    version: str
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Overview:
    """How the bus is doing.

    Of the filter's time: `series`; `succeeded` and `failed` deliveries; `releases`; `p50` and `p95`, what these shares
    of the last attempts stayed below, to within a tenth, of the filter's subscription but of all names. As it is now:
    `backlog`, and `commands` that run, by name.
    """

    series: Series
    succeeded: int
    failed: int
    p50: timedelta | None
    p95: timedelta | None
    backlog: Backlog
    commands: dict[str, int]
    releases: list[Release]

    @property
    def failure_rate(self) -> float | None:
        return failure_rate(self.succeeded, self.failed)


def read(connection: db.Connection, filter_: Filter, now: datetime) -> Overview:
    if filter_ != Filter(
        names=filter_.names, subscription=filter_.subscription, range=filter_.range, since=filter_.since,
        until=filter_.until,
    ):  # fmt: skip
        raise InvalidFilter(
            field="filter", rule="asks for names, a subscription and a time", was="one that asks for more",
            mend="Leave out the rest.",
        )  # fmt: skip
    series, counted = aggregates.series_and_counts(connection, filter_, now)
    ended: Counter[str] = Counter()
    for counts in (counted or rollup.counts(connection, filter_, now, None)).values():
        ended.update(counts)
    took = rollup.lasted(connection, replace(filter_, names=()), now)
    since, until = filter_.bounds(now)
    asked = {"names": list(filter_.names), "subscription": filter_.subscription}
    return Overview(
        series=series,
        succeeded=ended[State.SUCCEEDED],
        failed=ended[State.FAILED],
        p50=rollup.quantile(took, 0.5),
        p95=rollup.quantile(took, 0.95),
        backlog=backlog(connection, filter_, now),
        commands={row[0]: row[1] for row in connection.execute(db.query("running_commands"), asked)},
        releases=[Release(*row) for row in connection.execute(db.query("releases"), {"since": since, "until": until})],
    )


def open_of(filter_: Filter) -> Filter:
    """What has not ended, of a filter's names and subscription, of any time."""
    return Filter(names=filter_.names, subscription=filter_.subscription, states=OPEN_STATES, range=Range.ALL)


def backlog(connection: db.Connection, filter_: Filter, now: datetime) -> Backlog:
    unfinished = replace(open_of(filter_), states=())
    oldest = rollup.oldest_unfinished(connection, unfinished, now)
    return Backlog(rollup.unfinished_by_state(connection, unfinished, now), *(oldest or (None, None)))
