"""Finding messages by id, key or ref: docs/decisions/0017-search.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Subquery, Text, Uuid, any_, func, select, union_all

from buslog.insights.statements import bound
from buslog.insights.tables import message_refs, messages_table

Column = ColumnElement[Any]


class Way(Enum):
    """What one value is taken for."""

    KEY = auto()
    REF = auto()


def ways(values: Sequence[str]) -> Sequence[Way | None]:
    """The searches whose results together are those of the values. A value that many messages may have is looked for in
    one way at a time, each in the order of its index: then a page reads a page. None: in all ways at once.
    """
    return (Way.KEY, Way.REF) if len(values) == 1 and _as_id(values[0]) is None else (None,)


def found(values: Sequence[str], bounded: Callable[[Column], list[Column]], way: Way | None = None) -> Subquery:
    """The ids of the messages whose id, key or ref is any of the values. `bounded`: clauses for an id."""
    m, r, i = messages_table.alias("found_by_key").c, message_refs.c, messages_table.alias("found_by_id").c
    by_key = select(m.id).where(is_one_of(m.key, values, "find"), *bounded(m.id))
    by_ref = select(r.message_id.label("id")).where(_is_ref(r.ref, values), *bounded(r.message_id))
    if way is Way.KEY:
        return by_key.subquery("found")
    if way is Way.REF:
        return by_ref.subquery("found")
    ids = ids_among(values)
    by_id = select(i.id).where(i.id == any_(bound("find_ids", ids, ARRAY(Uuid()))), *bounded(i.id))
    each = union_all(by_key, by_ref, *([by_id] if ids else [])).subquery("each")
    return select(each.c.id).distinct().subquery("found")


def is_one_of(column: Column, values: Sequence[str], name: str) -> Column:
    """name: by which they are bound."""
    if len(values) == 1:  # the index gives the order of the ids
        return column == bound(name, values[0], Text())
    return column == any_(bound(name, list(values), ARRAY(Text())))


def _is_ref(column: Column, values: Sequence[str]) -> Column:
    if len(values) == 1:
        return func.lower(column) == func.lower(bound("find", values[0], Text()))
    array: Column = bound("find", list(values), ARRAY(Text()))
    return func.lower(column) == any_(func.buslog.lower_all(array, type_=ARRAY(Text())))


def ids_among(values: Sequence[str]) -> list[UUID]:
    """Those of the values that are ids."""
    return [identity for identity in map(_as_id, values) if identity]


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
