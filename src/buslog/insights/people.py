"""Whoever has a role, or has logged in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from buslog.rights import Role

PEOPLE_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who logs in. given: their role by hand, which wins over what their newest login `claimed`. first_seen
    and last_seen are None until they come.
    """

    person: str
    name: str
    role: Role
    given: Role | None
    claimed: Role
    first_seen: datetime | None
    last_seen: datetime | None


def people(rows: Iterable[Any]) -> list[Person]:
    """The rows of sql/people.sql."""
    return [
        Person(row[0], row[1], Role(row[2]), Role(row[3]) if row[3] else None, Role(row[4]), row[5], row[6])
        for row in rows
    ]
