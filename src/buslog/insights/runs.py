"""Stored runs as they are read: by the dashboard through `Insights`, by whoever acts through `Replays`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlencode
from uuid import UUID

from buslog.filter import Filter, Range
from buslog.message import DeliveryRef, State


class Verb(StrEnum):
    """What a run does to each of its deliveries."""

    REPLAY = "replay"
    RUN_NOW = "run now"
    CANCEL = "cancel"


class RunState(StrEnum):
    """States of a stored run. Drawn in docs/states.md."""

    PREVIEWED = "previewed"
    WAITING = "waiting"
    CANARY = "canary"
    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"


class ItemState(StrEnum):
    """What has become of one delivery of a run."""

    WAITING = "waiting"
    SENT = "sent"
    SUCCEEDED = "succeeded"
    FAILED_AGAIN = "failed again"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run. The numbers are its items by state; rate: sent in a second; cutoff: as in `Preview`; is_selected:
    its set was picked by hand from a list of its filter; failed_of, rest_of: it is what failed again in that run, or
    what that run did not send; again: so many of its set had succeeded before.
    """

    id: int
    verb: Verb
    state: RunState
    filter: Filter
    failed_of: int | None
    rest_of: int | None
    is_selected: bool
    again: int
    actor: str
    reason: str | None
    canary: int
    rate: float | None
    waiting: int
    sent: int
    succeeded: int
    failed_again: int
    cancelled: int
    skipped: int
    cutoff: datetime | None
    previewed_at: datetime
    started_at: datetime | None
    begins_at: datetime | None
    ended_at: datetime | None
    stopped_why: str | None

    @property
    def deliveries(self) -> int:
        """All that it was started for: those that it skips are not among them."""
        return self.waiting + self.sent + self.settled

    @property
    def settled(self) -> int:
        """Whose outcome is known."""
        return self.succeeded + self.failed_again + self.cancelled

    @property
    def is_under_way(self) -> bool:
        """Whether its numbers may change by themselves: something is to be sent yet, or was and is followed."""
        return self.state in {RunState.WAITING, RunState.CANARY, RunState.RUNNING} or self.sent > 0

    @property
    def can_stop(self) -> bool:
        return self.state in {RunState.WAITING, RunState.CANARY, RunState.RUNNING}


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery of a run; `generation` and `was` (its state) as they were frozen. error_type: with which it failed
    again. Of a message that is gone there is no name.
    """

    message_id: UUID
    subscription: str
    generation: int
    was: State
    state: ItemState
    is_canary: bool
    superseded: bool
    reason: str | None
    name: str | None
    key: str | None
    emitted_at: datetime | None
    error_type: str | None


@dataclass(frozen=True, slots=True)
class RunSet:
    """What a run's items are: by what they were, the canary by what it has become, the skipped ones by reason."""

    was: Mapping[State, int] = field(default_factory=dict)
    canary: Mapping[ItemState, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    superseded: int = 0


def to_run(row: Sequence[Any]) -> Run:
    return Run(row[0], Verb(row[1]), RunState(row[2]), read_filter(row[3]), *row[4:])


def to_item(row: Sequence[Any]) -> Item:
    return Item(row[0], row[1], row[2], State(row[3]), ItemState(row[4]), *row[5:])


def to_set(rows: Sequence[Sequence[Any]]) -> RunSet:
    was: Counter[State] = Counter()
    canary: Counter[ItemState] = Counter()
    skipped: Counter[str] = Counter()
    superseded = 0
    for before, state, is_canary, is_superseded, reason, number in rows:
        if state == ItemState.SKIPPED:
            skipped[reason or ""] += number
            continue
        was[State(before)] += number
        superseded += number * is_superseded
        if is_canary:
            canary[ItemState(state)] += number
    return RunSet(was, canary, dict(skipped.most_common()), superseded)


def item_values(
    run: int, *, state: ItemState | None, after: DeliveryRef | Item | None, places: int, superseded: bool = False
) -> dict[str, Any]:
    """The values of `run_items.sql`."""
    return {"run": run, "state": state, "superseded": superseded, "message": after and after.message_id,
            "subscription": after and after.subscription, "places": places}  # fmt: skip


def filter_text(filter_: Filter) -> str:
    """A filter as a run keeps it; `read_filter` reads it back."""
    return urlencode(filter_.to_params(default=Range.ALL), doseq=True)


def read_filter(text: str) -> Filter:
    return Filter.from_params(dict(parse_qs(text)), default=Range.ALL)
