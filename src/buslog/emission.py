"""An emit under way, and what goes into it: the arguments checked, the payload encoded, the cause known."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from pydantic_core import to_jsonable_python

from buslog.errors import BuslogError, InvalidMessage
from buslog.event import Event, name_of
from buslog.execution import PayloadRejected, current_message, parse_payload
from buslog.message import Emitted
from buslog.payload import check_key, check_name, checked_delay, checked_moment, encode
from buslog.store import Said
from buslog.subscription import Registry


class SubscriberFailed(BuslogError):
    """A sync subscriber in another process raised; its error's text is in `was`."""


class Emission(Awaitable[Emitted]):
    """An emit under way. Awaiting it: committed, and resolved by the sync subscribers. From a plain thread: `result()`.

    Raises what `Bus.emit` documents.
    """

    def __init__(self, future: asyncio.Future[Emitted] | concurrent.futures.Future[Emitted]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, Emitted]:
        future = self._future
        if isinstance(future, concurrent.futures.Future):
            future = asyncio.wrap_future(future)
        # A caller that gives up waiting does not take back what it said.
        return asyncio.shield(future).__await__()

    def result(self, timeout: float | None = None) -> Emitted:
        """Wait in a plain thread, at most `timeout` seconds."""
        if not isinstance(self._future, concurrent.futures.Future):
            raise TypeError("in the bus's own event loop, await the emit instead")
        return self._future.result(timeout)


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
    dedupe_key, dedupe_window = options.get("dedupe_key"), options.get("dedupe_window", timedelta(days=1))
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
