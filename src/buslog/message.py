"""What is said and what becomes of it: frozen data, no I/O. Words: docs/glossary.md."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol
from uuid import UUID

from typing_extensions import TypeVar

PayloadT = TypeVar("PayloadT", default=dict[str, Any])
OtherT = TypeVar("OtherT")


class Kind(StrEnum):
    """The two kinds of message."""

    EVENT = "event"  # past tense, 0..n subscribers
    COMMAND = "command"  # imperative, exactly one


class Mode(StrEnum):
    """When a publisher resolves, and how the subscribers of one message run. Per subscription."""

    ASYNC = "async"
    SYNC = "sync"
    SERIAL = "serial"


class State(StrEnum):
    """States of a delivery, and the two of a message that has none. Drawn in docs/states.md."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    BLOCKED = "blocked"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNROUTED = "unrouted"
    IMPORTED = "imported"


OPEN_STATES = (State.SCHEDULED, State.PENDING, State.BLOCKED, State.RUNNING, State.RETRYING)
ENDED_STATES = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
MESSAGE_STATES = (State.UNROUTED, State.IMPORTED)


class Transaction(AbstractAsyncContextManager[Any], AbstractContextManager[Any], Protocol):
    """`async with` gives a psycopg AsyncConnection; `with`, in a plain function, a Connection."""


@dataclass(frozen=True, slots=True)
class Record(Generic[PayloadT]):
    """A message as it stands in the log, whoever reacts to it. `emitted_at` is the database's time."""

    id: UUID
    kind: Kind
    name: str
    key: str | None
    payload: PayloadT
    emitted_at: datetime
    correlation_id: UUID
    causation_id: UUID | None


@dataclass(frozen=True, slots=True)
class Message(Record[PayloadT]):
    """A message as one subscriber receives it. Each subscriber gets a payload of its own."""

    subscription: str
    attempt: int
    generation: int
    repeats: int
    begin: Callable[[], Transaction] | None = field(default=None, repr=False, compare=False)

    def transaction(self) -> Transaction:
        """A transaction in which this delivery is settled as succeeded: what is written on its connection and the
        settle commit together, at the end of the block, or not at all. A `transaction()` of the connection's inside it
        is a savepoint; its `commit()` and `rollback()` raise. What is set in its session ends with the block.

        The block raises what it raises; leaving it raises `StaleDelivery` where the delivery was cancelled or rescued
        meanwhile, and `OutcomeUnknown` where the connection broke during the commit. TypeError for `with` in a
        coroutine and for `async with` outside the bus's event loop. Once per attempt, while it runs.
        """
        if self.begin is None:
            raise RuntimeError("only a message that is being handled by a worker has a transaction")
        return self.begin()

    @property
    def idempotency_key(self) -> str:
        """The same for every retry of a delivery and for the replay of a failed one, so that a service which
        remembers it does the work once. Another one when a person sends again what had succeeded.
        """
        return f"{self.id}:{self.subscription}:{self.repeats}"

    def with_payload(self, payload: OtherT) -> Message[OtherT]:
        """The same message with its payload in the subscriber's declared type."""
        return replace(self, payload=payload)  # type: ignore[arg-type, return-value]


@dataclass(frozen=True, slots=True)
class Emitted:
    """What an emit gives back once it is committed: the message's id, and how many deliveries it has.

    `duplicate`: its dedupe key was in use; nothing was stored, and the id is the first message's.
    """

    id: UUID
    routed: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryRef:
    """Names one delivery: a message and the id of a subscription (`module:qualname`)."""

    message_id: UUID
    subscription: str
