"""Where a page of the Log ends: keyset, never an offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Uuid, and_, or_

from buslog.errors import InvalidFilter
from buslog.insights.statements import bound

Column = ColumnElement[Any]


@dataclass(frozen=True, slots=True, order=True)
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


class Ends(NamedTuple):
    """The rows beyond a cursor, or up to one."""

    older_than: Cursor | None = None
    newer_than: Cursor | None = None
    up_to: Cursor | None = None

    @property
    def shape(self) -> Ends:
        """With stand-ins for the cursors."""
        return Ends(*(end and _PLACE for end in self))

    @property
    def values(self) -> dict[str, Any]:
        """What is bound in the statements of its shape."""
        found: dict[str, Any] = {}
        for name, end in zip(self._fields, self, strict=True):
            if end:
                found[name], found[f"{name}_subscription"] = end.message_id, end.subscription_id
        return found

    def of_message(self, identity: Column) -> list[Column]:
        """The part that an index on the id can use."""
        clauses = []
        if self.older_than:
            clauses.append(identity <= bound("older_than", self.older_than.message_id, Uuid()))
        if self.newer_than:
            clauses.append(identity >= bound("newer_than", self.newer_than.message_id, Uuid()))
        if self.up_to:
            clauses.append(identity <= bound("up_to", self.up_to.message_id, Uuid()))
        return clauses

    def of_row(self, d: Any) -> list[Column]:
        message, subscription = d.c.message_id, d.c.subscription_id
        clauses = []
        if self.older_than:
            end, place = _bound_place("older_than", self.older_than)
            clauses.append(or_(message < end, and_(message == end, subscription < place)))
        if self.newer_than:
            end, place = _bound_place("newer_than", self.newer_than)
            clauses.append(or_(message > end, and_(message == end, subscription > place)))
        if self.up_to:
            end, place = _bound_place("up_to", self.up_to)
            clauses.append(or_(message < end, and_(message == end, subscription <= place)))
        return clauses


_PLACE = Cursor(UUID(int=0), 0)


def _bound_place(name: str, end: Cursor) -> tuple[Column, Column]:
    return bound(name, end.message_id, Uuid()), bound(f"{name}_subscription", end.subscription_id, Integer())
