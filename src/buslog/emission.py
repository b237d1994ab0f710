"""An emit under way, and what goes into it: the arguments checked, the payload encoded, the cause known."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypedDict, TypeVar, Unpack, cast

from pydantic_core import to_jsonable_python

from buslog import telemetry
from buslog.errors import BuslogError, InvalidMessage
from buslog.event import Event, name_of
from buslog.execution import PayloadRejected, current_message, parse_payload
from buslog.message import Emitted
from buslog.payload import check_key, check_name, checked_delay, checked_moment, encode
from buslog.store import Said, Stored
from buslog.subscription import Registry

log = logging.getLogger("buslog")

A_DAY = timedelta(days=1)
MAX_COMMIT = 10_000  # messages
MAX_COMMIT_SIZE = 8_000_000  # characters of their payloads

ResultT = TypeVar("ResultT")


class SubscriberFailed(BuslogError):
    """A sync subscriber in another process raised; its error's text is in `was`."""


class Emission(Awaitable[ResultT], Generic[ResultT]):
    """An emit under way. Awaiting it: committed, and resolved by the sync subscribers. From a plain thread: `result()`.

    Raises what `Bus.emit` documents. A caller that gives up waiting does not take back what it said.
    """

    __slots__ = ("_answer", "_error", "_from_thread", "_heard", "_loop", "_name", "_waiters")

    def __init__(self, name: str, *, from_thread: bool = False) -> None:
        self._name = name
        # Each who awaits has a future of its own: a task that is cancelled cancels what it awaits.
        self._waiters: list[asyncio.Future[None]] = []
        # Said outside the bus's event loop: done once it is known what became of it.
        self._from_thread: concurrent.futures.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if from_thread:
            self._from_thread = concurrent.futures.Future()
        else:
            self._loop = asyncio.get_running_loop()
        self._answer: ResultT | None = None
        self._error: BaseException | None = None
        self._heard = False

    def resolve(self, answer: ResultT) -> None:
        """It is stored, and the sync subscribers have resolved."""
        if self.is_open:
            self._answer = answer
            self._wake()

    def refuse(self, error: BaseException) -> None:
        """It is not stored, or a sync subscriber raised. Does nothing to one that has resolved."""
        if self.is_open:
            # Its frames hold this emission, which is to end when nobody holds it.
            self._error = error.with_traceback(None)
            self._wake()

    @property
    def is_open(self) -> bool:
        """Whether nobody knows yet what becomes of it."""
        return self._answer is None and self._error is None

    def _wake(self) -> None:
        if self._from_thread is not None:
            self._from_thread.set_result(None)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def __await__(self) -> Generator[Any, None, ResultT]:
        if self._from_thread is not None:
            yield from asyncio.shield(asyncio.wrap_future(self._from_thread))
        elif asyncio.get_running_loop() is not self._loop:
            raise TypeError("said in the bus's own event loop, an emit is awaited there; emit it where you await it")
        elif self.is_open:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            yield from waiter
        return self._outcome()

    def result(self, timeout: float | None = None) -> ResultT:
        """Wait in a plain thread, at most `timeout` seconds."""
        if self._from_thread is None:
            raise TypeError("in the bus's own event loop, await the emit instead")
        self._from_thread.result(timeout)
        return self._outcome()

    def _outcome(self) -> ResultT:
        if self._error is not None:
            self._heard = True  # not before: whoever gave up waiting has heard nothing
            raise self._error
        return cast("ResultT", self._answer)

    def __del__(self) -> None:
        if self._error is not None and not self._heard:
            log.warning("%s, whose emit nobody awaited: %s", self._name, self._error)


class Letter:
    """Messages on their way into the log together, all or none, and the emission that waits for them."""

    __slots__ = ("_resolve", "_spans", "emission", "said")

    def __init__(
        self, said: Sequence[Said], emission: Emission[Any], resolve: Callable[[Sequence[Emitted]], None]
    ) -> None:
        self.said = said
        self.emission = emission
        self._resolve = resolve
        self._spans: list[telemetry.EmitSpan] = []

    @classmethod
    def of_one(cls, said: Said, emission: Emission[Emitted]) -> Letter:
        return cls([said], emission, lambda stored: emission.resolve(stored[0]))

    @classmethod
    def of_many(cls, said: Sequence[Said], emission: Emission[list[Emitted]]) -> Letter:
        return cls(said, emission, lambda stored: emission.resolve(list(stored)))

    @property
    def size(self) -> int:
        """Characters of its payloads."""
        return sum(len(one.payload) for one in self.said)

    def begin(self) -> None:
        """Its spans begin, if somebody traces: children of the caller's."""
        spans = [telemetry.start_emit(one.name) for one in self.said]
        if None not in spans:
            self._spans = [span for span in spans if span is not None]
            self.said = [
                one._replace(traceparent=span.traceparent) for one, span in zip(self.said, self._spans, strict=True)
            ]

    def stored(self, stored: Sequence[Stored]) -> None:
        """Its messages are committed."""
        for span, said, one in zip(self._spans, self.said, stored, strict=False):
            span.stored(one.message_id, said.correlation_id or one.message_id)

    def resolve(self, emitted: Sequence[Emitted]) -> None:
        """Its messages are committed, and their sync subscribers have resolved."""
        self._resolve(emitted)

    def refuse(self, error: BaseException) -> None:
        """None of it is stored, or nobody knows; or its sync subscribers raised. Does nothing once it has resolved."""
        if self.emission.is_open:
            for span in self._spans:
                span.refused(error)
            self.emission.refuse(error)


class EmitOptions(TypedDict, total=False):
    """What an emit takes beside name and payload."""

    key: str | None
    """What the message is about; by default the payload's `shipmentId` (`BUSLOG_KEY_FIELD`)."""
    after: float | timedelta | None
    """Its deliveries are scheduled for so many seconds later, by the database's clock."""
    at: datetime | None
    """Its deliveries are scheduled for a moment with an offset."""
    dedupe_key: str | None
    """An emit with one that is in use stores nothing, and tells the first message's id as a `duplicate`."""
    dedupe_window: float | timedelta
    """Seconds that a dedupe key is in use, from its first emit on; a day by default."""


def make_said(registry: Registry, name: str | Event[Any], payload: Any, **options: Unpack[EmitOptions]) -> Said:
    """What `Bus.emit` was given, checked. Its cause is the message that is being handled. Raises `InvalidMessage`."""
    if options and (unknown := options.keys() - EmitOptions.__annotations__.keys()):
        raise TypeError(f"unknown option {min(unknown)!r}")
    key, after, at = options.get("key"), options.get("after"), options.get("at")
    dedupe_key, dedupe_window = options.get("dedupe_key"), options.get("dedupe_window", A_DAY)
    declared = name if isinstance(name, Event) else registry.command(check_name(name))
    text = encode(to_jsonable(payload))
    if declared is not None and declared.payload_type is not None:
        try:
            parse_payload(declared.payload_type, text)
        except PayloadRejected as error:
            raise error.recast(InvalidMessage, mend="Correct that field.") from None
    cause = current_message.get()
    return Said(
        name=name_of(name),
        payload=text,
        key=check_key(key) if key is not None else None,
        correlation_id=cause.correlation_id if cause else None,
        causation_id=cause.id if cause else None,
        delay=checked_delay(after),
        due_at=checked_moment(at, after),
        dedupe_key=None if dedupe_key is None else check_key(dedupe_key, "dedupe_key"),
        dedupe_window=None if dedupe_key is None else checked_delay(dedupe_window, "dedupe_window"),
    )


def one_commit(said: list[Said]) -> list[Said]:
    """The messages, as they are, if one commit may hold them. Raises `InvalidMessage`."""
    size = sum(len(one.payload) for one in said)
    if len(said) > MAX_COMMIT or size > MAX_COMMIT_SIZE:
        raise InvalidMessage(
            field="payloads", rule="fit into one commit", was=f"{len(said)} messages of {size} characters",
            limit=f"{MAX_COMMIT} messages and {MAX_COMMIT_SIZE} characters", mend="Emit them in several calls.",
        )  # fmt: skip
    return said


def to_jsonable(payload: Any) -> Any:
    """A payload as JSON values: a model, dataclass or TypedDict becomes an object; nothing becomes `{}`."""
    if payload is None:
        return {}
    if isinstance(payload, Mapping):
        return payload
    try:
        return to_jsonable_python(payload, by_alias=True)
    except (ValueError, TypeError):
        return payload  # `encode` says what is wrong with it
