"""What became of some messages: their deliveries, attempts and operations, as thread and key page tell them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from buslog import db
from buslog.message import DeliveryRef, State

SHOWN = 300  # characters of an error
MOST = 3000  # deliveries, attempts or operations of one look


@dataclass(frozen=True, slots=True)
class DeliveryRun:
    """One generation of a delivery. `started_at` is its last attempt's; the errors of an open one are its attempts'."""

    message_id: UUID
    subscription: str
    generation: int
    is_latest: bool
    state: State
    attempts: int
    due_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    error_type: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Raised:
    """An attempt that raised or was lost."""

    message_id: UUID
    subscription: str
    generation: int
    attempt: int
    started_at: datetime
    finished_at: datetime
    worker: str
    error_type: str
    error: str


@dataclass(frozen=True, slots=True)
class Done:
    """What a person did to a message. `made`: the message that came of it, such as an edited copy."""

    message_id: UUID
    at: datetime
    actor: str
    verb: str
    subscription: str | None
    reason: str | None
    made: UUID | None


@dataclass(slots=True)
class Story:
    """What became of one message: generations oldest first, attempts that raised, operations."""

    runs: list[DeliveryRun] = field(default_factory=list)
    raised: list[Raised] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)

    def raised_of(self, run: DeliveryRun) -> list[Raised]:
        return [a for a in self.raised if (a.subscription, a.generation) == (run.subscription, run.generation)]

    def done_to(self, delivery: DeliveryRef) -> list[Done]:
        return [operation for operation in self.done if operation.subscription == delivery.subscription]


def stories(connection: db.Connection, message_ids: Sequence[UUID]) -> dict[UUID, Story]:
    """By message. One of which nothing became has an empty story."""
    found = {message_id: Story() for message_id in message_ids}
    values = {"ids": list(message_ids), "shown": SHOWN, "places": MOST}
    for row in connection.execute(db.query("story_deliveries"), values):
        found[row[0]].runs.append(DeliveryRun(*(*row[:4], State(row[4]), *row[5:])))
    for row in connection.execute(db.query("story_attempts"), values):
        found[row[0]].raised.append(Raised(*row))
    for row in connection.execute(db.query("story_operations"), values):
        found[row[0]].done.append(Done(*row))
    return found
