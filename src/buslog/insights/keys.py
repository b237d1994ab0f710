"""All of one key: its messages oldest first, what became of them, what failed or waits now; keys that are like it."""

from __future__ import annotations

import difflib
import string
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from buslog import db
from buslog.insights.story import SHOWN, Story, stories
from buslog.insights.why import Cause, why
from buslog.message import DeliveryRef, Kind, State

PAGE = 100  # messages
LOOKED_AT = 10_000  # newest messages in which what waits or failed now is looked for
LISTED = 20
NEIGHBOURS = 12
LONGEST_GUESS = 40  # characters
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class KeyMessage:
    """A message of a key."""

    id: UUID
    kind: Kind
    name: str
    emitted_at: datetime
    source: str
    actor: str | None
    correlation_id: UUID
    causation_id: UUID | None
    routed: int


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Messages of a key, oldest first, and what became of each. `older` and `newer`: whether there are more."""

    messages: list[KeyMessage]
    stories: Mapping[UUID, Story]
    has_older: bool
    has_newer: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery of a key that failed, or has not ended; why it waits, if it is open."""

    delivery: DeliveryRef
    name: str
    state: State
    error_type: str | None
    error: str | None
    causes: list[Cause]


@dataclass(frozen=True, slots=True)
class KeyNow:
    """What of a key's newest `LOOKED_AT` messages failed or is unfinished now: counted by state, the first of them
    listed, failed ones first.
    """

    states: Mapping[State, int]
    listed: list[Waiting]


def page(connection: db.Connection, key: str, *, after: UUID | None = None, before: UUID | None = None) -> KeyPage:
    """A page of the messages of a key: the first ones, those after a message, or the last ones before one."""
    if before is not None:
        values = {"key": key, "before": before, "places": PAGE + 1}
        rows = list(connection.execute(db.query("key_messages_before"), values))
        has_older, has_newer = len(rows) > PAGE, before != LAST
        rows = rows[:PAGE][::-1]
    else:
        values = {"key": key, "after": after or FIRST, "places": PAGE + 1}
        rows = list(connection.execute(db.query("key_messages"), values))
        has_older, has_newer = after is not None, len(rows) > PAGE
        rows = rows[:PAGE]
    messages = [KeyMessage(row[0], Kind(row[1]), *row[2:]) for row in rows]
    return KeyPage(messages, stories(connection, [m.id for m in messages]), has_older, has_newer)


def now(connection: db.Connection, key: str, moment: datetime) -> KeyNow:
    """What failed or waits."""
    values = {"key": key, "messages": LOOKED_AT, "shown": SHOWN}
    rows = list(connection.execute(db.query("key_now"), values))
    listed = rows[:LISTED]
    causes = why(connection, list({row[0] for row in listed}), moment)
    return KeyNow(
        Counter(State(row[3]) for row in rows),
        [
            Waiting(ref, row[1], State(row[3]), row[4], row[5], causes.get(ref, []))
            for row, ref in ((row, DeliveryRef(row[0], row[2])) for row in listed)
        ],
    )


def near(connection: db.Connection, key: str) -> list[str]:
    """Keys that exist and are spelled much like this one, the nearest first; at most five."""
    if len(key) > LONGEST_GUESS:
        return []
    values = {"key": key, "steps": NEIGHBOURS, "spellings": list(set(_spellings(key)))}
    known = {row[0].casefold(): row[0] for row in connection.execute(db.query("near_keys"), values)}
    return [known[like] for like in difflib.get_close_matches(key.casefold(), known, n=5, cutoff=0.6)]


def _spellings(key: str) -> Iterator[str]:
    """The key as somebody may have meant it: other case, one slip of the fingers."""
    yield from (key.strip(), key.upper(), key.lower())
    for at in range(len(key) + 1):
        before, after = key[:at], key[at:]
        yield from (before + letter + after for letter in "-" + string.digits)
        if after:
            yield before + after[1:]
            kind = next(
                (k for k in (string.digits, string.ascii_uppercase, string.ascii_lowercase) if after[0] in k), ""
            )
            yield from (before + letter + after[1:] for letter in kind)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
