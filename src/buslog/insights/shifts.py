"""Who is, and was, on duty."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """A time on duty. until: None for the one that goes on. note: what was left to the next."""

    who: str
    since: datetime
    until: datetime | None
    note: str | None
