"""Failures by cause: how many there are now, by the one Filter; and what each group has lived through."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, Text, func, select

from buslog import db
from buslog.filter import Filter
from buslog.insights.aggregates import COUNTED, failed_of
from buslog.insights.model import Count, FailureGroup, FailureGroups, GroupStatus
from buslog.insights.rollup import MONDAY
from buslog.insights.rows import is_failure, shaped_rows
from buslog.insights.shapes import shape_of, values_of
from buslog.insights.statements import bound, kept
from buslog.insights.tables import failures

GROUPS = 50
SAMPLE = 300  # characters of an error in a list

DAY, LONG = timedelta(days=1), timedelta(days=30)
HOUR = timedelta(hours=1)


def groups(connection: db.Connection, filter_: Filter, now: datetime, status: GroupStatus | None) -> FailureGroups:
    """Groups that have a failure now. Of a filter that asks for nothing but a time also those that somebody has dealt
    with and that came last in that time, though nothing of them is left.
    """
    counted = _counts(connection, filter_, now)
    since, until = filter_.bounds(now)
    values = {
        "fingerprints": list(counted), "with_quiet": not filter_.is_narrow, "since": since, "until": until,
    }  # fmt: skip
    statuses = {
        fingerprint: GroupStatus(found)
        for fingerprint, found in connection.execute(db.query("failure_statuses"), values, prepare=True)
    }
    wanted = [one for one, its_status in statuses.items() if status in {None, its_status}]
    wanted.sort(key=lambda one: (-counted.get(one, 0), one))
    shown = {one: _count(counted.get(one, 0)) for one in wanted[:GROUPS]}
    return FailureGroups(_described(connection, shown, filter_, now), Counter(statuses.values()))


def group(connection: db.Connection, filter_: Filter, now: datetime) -> FailureGroup | None:
    """The filter's group."""
    assert filter_.group
    count = _count(_counts(connection, filter_, now).get(filter_.group, 0))
    return next(iter(_described(connection, {filter_.group: count}, filter_, now)), None)


def _counts(connection: db.Connection, filter_: Filter, now: datetime) -> dict[str, int]:
    """How many failures a filter finds of each group, counted no further than `COUNTED` and one more."""
    failed = failed_of(filter_)
    if failed is None:
        return {}
    if not replace(failed, states=(), group=None).is_narrow:
        since, until = failed.bounds(now)
        values = {"since": since, "until": until, "places": COUNTED + 1, "group": failed.group}
        return {row[0]: row[1] for row in connection.execute(db.query("failures_by_group"), values, prepare=True)}
    found = _counted(shape_of(failed, now)).on(connection, values_of(failed, now))
    return {fingerprint: min(number, COUNTED + 1) for fingerprint, number in found}


@kept
def _counted(shape: Filter) -> Select[Any]:
    rows = shaped_rows(replace(shape, group=None), is_counted=True)
    query = (
        select(failures.c.fingerprint, func.count())
        .select_from(rows.source.join(failures, is_failure(rows.d)))
        .where(*rows.where)
        .group_by(failures.c.fingerprint)
    )
    return query.where(failures.c.fingerprint == bound("group", shape.group, Text())) if shape.group else query


def _count(found: int) -> Count:
    return Count(min(found, COUNTED), is_capped=found > COUNTED)


def _described(
    connection: db.Connection, counts: dict[str, Count], filter_: Filter, now: datetime
) -> list[FailureGroup]:
    """The groups of these fingerprints, in their order; those that never were are left out."""
    values: dict[str, Any] = {"fingerprints": list(counts), "shown": SAMPLE}
    step, trends = _trends(connection, list(counts), filter_, now)
    found = {}
    rows = connection.execute(db.query("failure_groups"), values, prepare=True)
    names = [column.name for column in rows.description or ()]
    for row in rows:
        known: dict[str, Any] = dict(zip(names, row, strict=True))
        known["status"] = GroupStatus(known["status"])
        fingerprint = known["fingerprint"]
        found[fingerprint] = FailureGroup(
            **known, count=counts[fingerprint], trend=trends[fingerprint], trend_step=step
        )
    return [found[fingerprint] for fingerprint in counts if fingerprint in found]


def _trends(
    connection: db.Connection, fingerprints: list[str], filter_: Filter, now: datetime
) -> tuple[timedelta, dict[str, list[int]]]:
    """By the hour of the last day, where the filter looks no further back, or by the day of the last thirty."""
    since, _ = filter_.bounds(now)
    step, length = (HOUR, DAY) if since and now - since <= DAY else (DAY, LONG)
    last = MONDAY + (now - MONDAY) // step * step
    first = last - length + step
    values = {"fingerprints": fingerprints, "since": first, "step": step}
    trends: dict[str, list[int]] = defaultdict(lambda: [0] * (length // step))
    for fingerprint, at, number in connection.execute(db.query("failure_trends"), values):
        place = (at.astimezone(UTC) - first) // step
        if place < length // step:
            trends[fingerprint][place] += number
    return step, trends
