"""The rows of the Log, a page at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, Text, cast, func, literal_column

from buslog import db
from buslog.filter import Filter
from buslog.insights import search
from buslog.insights.ends import Ends
from buslog.insights.model import LogRow
from buslog.insights.rows import Rows, shaped_rows, subscription_mode, subscription_name
from buslog.insights.search import Way
from buslog.insights.shapes import shape_of, values_of
from buslog.insights.statements import kept
from buslog.message import Kind, Mode, State

ERROR_SHOWN = 300  # characters of an error in a list


def listed(connection: db.Connection, filter_: Filter, now: datetime, ends: Ends, places: int) -> list[LogRow]:
    """The rows of a filter that are nearest to a cursor, or the newest; the nearest first."""
    values = {**values_of(filter_, now), **ends.values}
    shape, shape_of_ends, ways = shape_of(filter_, now), ends.shape, search.ways(filter_.find)
    found = [
        _row(*row)
        for way in ways
        for row in _listed(shape, shape_of_ends, way, places).on(connection, values, prepare=True).fetchall()
    ]
    if len(ways) == 1:
        return found
    each = {row.cursor: row for row in found}
    return [each[cursor] for cursor in sorted(each, reverse=ends.newer_than is None)][:places]


@kept
def _listed(shape: Filter, ends: Ends, way: Way | None, places: int) -> Select[Any]:
    rows = shaped_rows(shape, ends, way)
    # In the text: planned without it, a page would be taken for a tenth of the log.
    query = rows.select(*_columns(rows)).limit(literal_column(str(places)))
    return rows.oldest_first(query) if ends.newer_than else rows.newest_first(query)


def _columns(rows: Rows) -> tuple[Any, ...]:
    m, d = rows.m.c, rows.d.c
    return (
        m.id, d.subscription_id, cast(m.kind, Text), m.name, m.key, m.emitted_at,
        subscription_name(d.subscription_id), subscription_mode(d.subscription_id), d.state, d.generation, d.attempts,
        d.error_type, func.left(d.error, ERROR_SHOWN), d.finished_at, d.repeats,
    )  # fmt: skip


def _row(  # noqa: PLR0917  (a row's columns)
    message_id: Any, subscription_id: Any, kind: str, name: Any, key: Any, emitted_at: Any, subscription: Any,
    mode: str | None, state: str, *rest: Any,
) -> LogRow:  # fmt: skip
    return LogRow(
        message_id, subscription_id, Kind(kind), name, key, emitted_at, subscription, Mode(mode) if mode else None,
        State(state), *rest,
    )  # fmt: skip
