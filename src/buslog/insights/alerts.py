"""Alert rules as they stand, and what they found and told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

HISTORY = 50
OVERDUE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Notice:
    """What was to be told to one channel. occasion: fired, again, resolved. state: waiting, sent, suppressed, given up.
    is_held: by quiet hours, until `due_at`. error: of the last try.
    """

    channel: str
    occasion: str
    state: str
    made_at: datetime
    due_at: datetime
    is_held: bool
    tries: int
    sent_at: datetime | None
    error: str | None

    def is_overdue(self, now: datetime) -> bool:
        """Whether nobody has even tried: no running process knows the channel."""
        return self.state == "waiting" and self.tries == 0 and now - self.due_at > OVERDUE


@dataclass(frozen=True, slots=True)
class Alert:
    """A time that a rule fired, and until when: `resolved_at` is None while it lasts."""

    id: int
    rule: str
    what: str
    since: datetime
    fired_at: datetime
    resolved_at: datetime | None
    notices: list[Notice]


@dataclass(frozen=True, slots=True)
class LastLook:
    """When the rules were last looked at (None: never), by which process, and how long it took. counting_since: what
    ended before is in no failure rate: nobody looked then.
    """

    at: datetime | None
    by: str
    took: timedelta | None
    counting_since: datetime | None


def alerts(rows: Iterable[Any]) -> list[Alert]:
    """The rows of sql/alert_history.sql."""
    return [
        Alert(row[0], row[1], row[2], row[3], row[4], row[5], [_notice(values) for values in json.loads(row[6])])
        for row in rows
    ]


def _notice(values: list[Any]) -> Notice:
    channel, occasion, state, made_at, due_at, is_held, tries, sent_at, error = values
    return Notice(
        channel, occasion, state, _moment(made_at), _moment(due_at), is_held, tries,
        _moment(sent_at) if sent_at else None, error,
    )  # fmt: skip


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
