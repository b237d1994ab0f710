"""What the reads give back: plain frozen rows. Times carry UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from buslog.filter import Filter
from buslog.insights.ends import Cursor
from buslog.message import DeliveryRef, Kind, Mode, State
from buslog.rights import Role


def failure_rate(succeeded: int, failed: int) -> float | None:
    """Failed ÷ (succeeded + failed): what a person cancelled is neither. None where nothing ended so."""
    ran = succeeded + failed
    return failed / ran if ran else None


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows, exact up to a limit. `str` gives 8,577 or 10,000+."""

    value: int
    is_capped: bool = False

    def __str__(self) -> str:
        return f"{self.value:,}{'+' if self.is_capped else ''}"

    def __bool__(self) -> bool:
        return self.value > 0


@dataclass(frozen=True, slots=True)
class Tally:
    """How many rows, and how many different messages, names and keys among them: exact unless `rows` is capped."""

    rows: Count
    messages: int
    names: int
    keys: int


@dataclass(frozen=True, slots=True)
class LogRow:
    """A delivery in its latest generation, or a message without any (`subscription` is None). repeats: how often it was
    sent again after it had succeeded.
    """

    message_id: UUID
    subscription_id: int
    kind: Kind
    name: str
    key: str | None
    emitted_at: datetime
    subscription: str | None
    mode: Mode | None
    state: State
    generation: int | None
    attempts: int | None
    last_error_type: str | None
    last_error: str | None
    finished_at: datetime | None
    repeats: int | None = None

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.message_id, self.subscription_id)

    @property
    def delivery(self) -> DeliveryRef | None:
        return DeliveryRef(self.message_id, self.subscription) if self.subscription else None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the Log, newest first. A cursor is None where there is nothing more."""

    rows: list[LogRow]
    newer: Cursor | None
    older: Cursor | None


@dataclass(frozen=True, slots=True)
class Outside:
    """What a filter would find before and after its time."""

    older: Count
    newer: Count


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket of a chart, from `at` on. `messages`: see `Series.counts_rows`."""

    at: datetime
    messages: int = 0
    errors: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Series:
    """Counts over time without gaps, oldest first, each by the time its message was emitted.

    `counts_rows`: the filter asks for certain deliveries, and `messages` counts the rows of the Log that it finds, not
    their messages. `knows_errors`: False where errors are not told apart by what was asked, and are left at 0.
    `since` and `until`: the filter's time, where it has bounds; the first and the last bucket may reach beyond.
    """

    bucket: timedelta
    points: list[Point]
    counts_rows: bool = False
    knows_errors: bool = True
    since: datetime | None = None
    until: datetime | None = None

    def ends(self, point: Point) -> tuple[datetime, datetime]:
        """The time that a bucket counts: its own, within the filter's."""
        since, until = point.at, point.at + self.bucket
        return max(since, self.since or since), min(until, self.until or until)

    @property
    def messages(self) -> int:
        return sum(point.messages for point in self.points)

    @property
    def errors(self) -> int:
        return sum(point.errors for point in self.points)

    @property
    def failures(self) -> int:
        return sum(point.failures for point in self.points)


class GroupStatus(StrEnum):
    """States of a failure group. Drawn in docs/states.md."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one cause, and what has become of it.

    place: file and function, in the subscriber's own code. sample: the newest failure's error. names, subscriptions: at
    most fifty. count: how many are failed now, among what a filter finds; the rest is of all time. total: failures
    ever; keys: different ones ever. trend: failures by when they failed, oldest first, in steps of `trend_step`.
    is_new: it is younger than the last fold, and not all of it is known yet.
    """

    fingerprint: str
    error_type: str
    place: str | None
    sample: str
    sample_message: UUID | None
    names: list[str]
    subscriptions: list[str]
    count: Count
    total: int
    keys: int
    first_seen: datetime
    last_seen: datetime
    first_release: str | None
    last_release: str | None
    status: GroupStatus
    owner: str | None
    note: str | None
    resolved_at: datetime | None
    reopened: int
    is_new: bool
    trend: list[int]
    trend_step: timedelta


@dataclass(frozen=True, slots=True)
class FailureGroups:
    """The groups of a filter, the largest first, at most `GROUPS` of them; and how many there are of each status."""

    groups: list[FailureGroup]
    by_status: dict[GroupStatus, int]


@dataclass(frozen=True, slots=True)
class FailureSample:
    """The last attempt of a group's newest failure. frame: `file:line in function`."""

    message_id: UUID
    subscription: str
    error_type: str
    error: str
    frame: str | None
    traceback: str | None
    worker: str | None
    code_version: str | None
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """Unfinished deliveries now, by state; the message of the oldest, and when it was emitted."""

    by_state: dict[State, int]
    oldest: datetime | None
    oldest_message: UUID | None

    @property
    def total(self) -> int:
        return sum(self.by_state.values())


@dataclass(frozen=True, slots=True)
class LiveWorker:
    """A worker whose lease holds."""

    worker: str
    version: str
    started_at: datetime
    hosts: list[str]
    running: int


@dataclass(frozen=True, slots=True)
class MessageDetail:
    """A message as it was said. `payload` is pretty JSON text, cut at `PAYLOAD_SHOWN` characters; is_masked: some of
    it is hidden.
    """

    id: UUID
    kind: Kind
    name: str
    key: str | None
    emitted_at: datetime
    source: str
    actor: str | None
    correlation_id: UUID
    causation_id: UUID | None
    routed: int
    payload: str
    payload_bytes: int
    payload_is_cut: bool
    is_masked: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryDetail:
    """One generation of a delivery. `is_hosted`: a live worker carries its subscriber's code."""

    message_id: UUID
    subscription: str
    mode: Mode
    generation: int
    is_latest: bool
    state: State
    attempts: int
    repeats: int
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    error_type: str | None
    error: str | None
    result: str | None
    is_hosted: bool
    unsafe_to_replay: str | None = None

    @property
    def ref(self) -> DeliveryRef:
        return DeliveryRef(self.message_id, self.subscription)


@dataclass(frozen=True, slots=True)
class AttemptDetail:
    """An attempt that raised or was lost."""

    subscription: str
    generation: int
    attempt: int
    started_at: datetime
    finished_at: datetime
    worker: str
    code_version: str
    error_type: str
    error: str
    frame: str | None


@dataclass(frozen=True, slots=True)
class OperationDetail:
    """What a person did to a message. `made`: the message that came of it, such as an edited copy."""

    at: datetime
    actor: str
    verb: str
    subscription: str | None
    reason: str | None
    made: UUID | None


@dataclass(frozen=True, slots=True)
class Note:
    """What a person wrote down."""

    id: int
    at: datetime
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class LastRuns:
    """The latest runs of a command, ten at most: how many, how many of them failed, and the last one."""

    count: int
    failed: int
    at: datetime
    state: State
    by: str


@dataclass(frozen=True, slots=True)
class Command:
    """A registered command. `schema` is its payload's JSON Schema; None takes any object. `role`: the least that may
    run it, where it demands one. `last`: None when it was never run.
    """

    name: str
    subscription: str
    description: str
    schema: dict[str, Any] | None
    is_hosted: bool
    role: Role | None
    last: LastRuns | None


@dataclass(frozen=True, slots=True)
class CommandRun:
    """A command that was put on the bus, and what became of it."""

    message_id: UUID
    key: str | None
    emitted_at: datetime
    actor: str | None
    source: str
    state: State
    attempts: int | None
    error_type: str | None
    error: str | None
    result: str | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class SavedView:
    """A filter that somebody saved. `name` is None where it was only too long for an address; `text` is the filter's
    text form.
    """

    id: UUID
    name: str | None
    text: str
    who: str
    is_shared: bool
    saved_at: datetime

    @property
    def filter(self) -> Filter:
        return Filter.from_text(self.text)


@dataclass(frozen=True, slots=True)
class KnownName:
    """A name that was ever seen."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class ToErase:
    """What there is of a key: messages, how many of them are erased, unfinished deliveries, runs that still send."""

    messages: int
    erased: int
    unfinished: int
    runs: list[int]

    @property
    def left(self) -> int:
        return self.messages - self.erased
