"""A finding, and the look at the database that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from buslog import db


class Level(StrEnum):
    """`unseen`: nothing is known to be wrong, but this role may not look."""

    OK = "ok"
    UNSEEN = "unseen"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, in a sentence, and what to do about it."""

    check: str
    level: Level
    found: str
    mend: str = ""


class Look:
    """A read-only connection, and the named queries under sql/."""

    def __init__(self, connection: db.Connection, dsn: str) -> None:
        self._connection = connection
        self.dsn = dsn

    def rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        """Raises `NotPermitted`, and `DatabaseUnavailable` also for what takes too long."""
        with db.translated(self.dsn):
            return self._connection.execute(db.query(name), values).fetchall()

    def plan(self, name: str) -> list[dict[str, Any]]:
        """The nodes of an EXPLAIN (FORMAT JSON), when whatever an index can spare is forbidden."""
        with db.translated(self.dsn), self._connection.transaction():
            self._connection.execute(
                "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off"
            )
            ((found,),) = self._connection.execute(db.query(name), {}).fetchall()
        return _nodes(found[0]["Plan"])

    @property
    def is_broken(self) -> bool:
        return self._connection.closed or self._connection.broken


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", ()) for node in _nodes(child))]


def spoken(seconds: float) -> str:
    """A length of time for people: 40 s, 3 min, 5 h, 12 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
