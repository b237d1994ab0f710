"""An emit under way, and what goes into it: the arguments checked, the payload encoded, the cause known."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Generator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_jsonable_python

from buslog.errors import BuslogError, InvalidMessage
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


def make_said(
    registry: Registry,
    name: str,
    payload: Any,
    *,
    key: str | None,
    after: float | timedelta | None,
    at: datetime | None,
    dedupe_key: str | None,
    dedupe_window: float | timedelta,
) -> Said:
    """What `Bus.emit` was given, checked. Its cause is the message that is being handled. Raises `InvalidMessage`."""
    check_name(name)
    text = encode(to_jsonable(payload))
    command = registry.command(name)
    if command is not None and command.payload_type is not None:
        try:
            parse_payload(command, text)
        except PayloadRejected as error:
            raise error.recast(InvalidMessage, mend="Correct that field.") from None
    cause = current_message.get()
    return Said(
        name=name,
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
