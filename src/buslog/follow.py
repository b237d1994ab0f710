"""Follows the log live: what any process says, in the order in which it becomes visible.

One reader a bus, however many streams are open. Why it reads by snapshots: docs/decisions/0007-the-live-log.md.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic

from buslog import db
from buslog.errors import BuslogError, DatabaseUnavailable, StreamEnded
from buslog.event import Event, listed, name_of
from buslog.execution import PayloadRejected, decode, parse_payload
from buslog.loops import end_all, surviving, wait_for, wait_or_end
from buslog.message import Kind, PayloadT, Record
from buslog.store import Logged, Store
from buslog.subscription import ANYTHING, checked_names, matches

log = logging.getLogger("buslog")

MOST_WAITING = 100_000  # records that a stream keeps for a reader that is slower than what is said
LOOK_SPACING = 0.01  # seconds; what is woken more often than that learns nothing sooner
BACKOFF = 1.0  # seconds after a database error


class Stream(AsyncIterator[Record[PayloadT]], Generic[PayloadT]):
    """What is said under some names from the moment `events` was called: `async for record in bus.events():`.

    What comes waits until it is read. It ends with its block as a context manager, by `close`, when nobody holds it any
    more (a loop that was left over `bus.events()`), and, once what waits has been read, when the bus stops or `clear`
    names one of its names. A payload that does not fit its declared event, or cannot be decoded, is left out and
    logged. Reading raises `StreamEnded` when more than 100,000 records have come to wait, and `Misconfigured` or
    `NotPermitted` where the log cannot be read.
    """

    def __init__(self, names: Sequence[str | Event[Any]], follower: Follower) -> None:
        self.names = checked_names(names)
        # A name in full says more about the payload than a pattern does.
        wanted = [(name_of(name), name if isinstance(name, Event) else None) for name in names]
        self._wanted = sorted(wanted, key=lambda one: ANYTHING in one[0])
        self._follower = follower
        self._waiting: deque[tuple[Logged, Event[Any] | None]] = deque()
        self._arrived = asyncio.Event()
        self._is_open = self._has_ended = False
        self._failure: BuslogError | None = None

    def open(self) -> None:
        """The log has been looked at: from here on it is followed."""
        self._is_open = not self._has_ended

    def take(self, logged: Logged) -> None:
        """Keep a message for the reader, if it has one of the names. A pattern does not reach commands."""
        is_event = logged.kind == Kind.EVENT
        found = [one for one in self._wanted if one[0] == logged.name or (is_event and matches(one[0], logged.name))]
        if not found or not self._is_open:
            return
        self._waiting.append((logged, found[0][1]))
        self._arrived.set()
        if len(self._waiting) > MOST_WAITING:
            self.end(StreamEnded(
                field="stream", rule="is read as fast as messages come", was=f"{len(self._waiting)} waiting",
                limit=f"{MOST_WAITING} waiting", mend="Read faster, follow fewer names, or subscribe with `on`.",
            ))  # fmt: skip

    def end(self, failure: BuslogError | None = None) -> None:
        """Nothing comes any more; what waits can still be read, and then a failure is raised."""
        self._has_ended, self._is_open, self._failure = True, False, self._failure or failure
        self._arrived.set()
        self._follower.forget(self)

    def close(self) -> None:
        """End it at once."""
        self._waiting.clear()
        self.end()

    async def __anext__(self) -> Record[PayloadT]:
        """The next record. Raises `StreamEnded`."""
        while True:
            while self._waiting:
                record = _record(*self._waiting.popleft())
                if record is not None:
                    return record
            if self._failure is not None:
                raise self._failure
            if self._has_ended:
                raise StopAsyncIteration
            self._arrived.clear()
            with self._follower.holding(self):
                await self._arrived.wait()

    async def first(self, predicate: Callable[[Record[PayloadT]], object] | None) -> Record[PayloadT]:
        """The first record, of those that fulfil the predicate; then the stream is closed. Raises `StreamEnded`."""
        with self:
            async for record in self:
                if predicate is None or predicate(record):
                    return record
        raise StreamEnded(
            field="stream", rule="is open while somebody waits for it", was="cleared, or its bus has stopped",
            mend="Wait anew.",
        )  # fmt: skip

    def __enter__(self) -> Stream[PayloadT]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Follower:
    """Reads the log for a bus's streams, as long as there is one."""

    def __init__(self, dsn: str, store: Store, poll: float) -> None:
        self._dsn = dsn
        self._store = store
        self._poll = poll
        self._seen: str | None = None  # the snapshot that the streams know of; None: nobody follows
        self._streams: weakref.WeakSet[Stream[Any]] = weakref.WeakSet()
        self._held: set[Stream[Any]] = set()
        self._firsts: set[asyncio.Task[Any]] = set()
        self._looking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None

    def add(self, names: str | Event[Any] | Sequence[str | Event[Any]]) -> Stream[Any]:
        """A stream that `open` opens. Raises `InvalidSubscription`."""
        stream: Stream[Any] = Stream(listed(names), self)
        self._streams.add(stream)
        return stream

    async def open(self, stream: Stream[Any]) -> None:
        """What becomes visible from now on is the stream's. Raises `DatabaseUnavailable`; what else is wrong, such as
        a right that is missing, the stream raises.
        """
        try:
            await self._look()
        except DatabaseUnavailable:
            raise
        except BuslogError as error:
            stream.end(error)
            return
        stream.open()
        if self._reader is None:
            self._reader = asyncio.create_task(surviving(self._read), name="buslog-follow")
        if self._listener is None:  # stays: who follows once will follow again
            self._listener = asyncio.create_task(surviving(self._listen), name="buslog-follow-listen")

    def first(
        self, stream: Stream[Any], predicate: Callable[[Record[Any]], object] | None, timeout: float | None
    ) -> asyncio.Task[Record[Any]]:
        """The first record of a stream, waited for in a task of its own."""

        async def within() -> Record[Any]:
            async with asyncio.timeout(timeout):
                return await stream.first(predicate)

        task = asyncio.create_task(within(), name="buslog-once")
        self._firsts.add(task)
        task.add_done_callback(self._firsts.discard)
        task.add_done_callback(lambda _: stream.close())  # also when it was cancelled before it began
        return task

    def wake(self) -> None:
        """Something was said here."""
        self._wake.set()

    def forget(self, stream: Stream[Any]) -> None:
        """It has ended."""
        self._streams.discard(stream)

    @contextmanager
    def holding(self, stream: Stream[Any]) -> Iterator[None]:
        """Whoever waits for a stream may be held by that stream alone, and the follower holds streams weakly."""
        self._held.add(stream)
        try:
            yield
        finally:
            self._held.discard(stream)

    def end(self, names: Collection[str] | None) -> None:
        """End the streams that follow one of these names; of None, all."""
        for stream in list(self._streams):
            if names is None or set(stream.names) & set(names):
                stream.end()

    async def stop(self, patience: float) -> None:
        """Read what was said until now, for at most so many seconds, then end every stream."""
        await end_all(task for task in (self._reader, self._listener) if task is not None)
        if self._streams and self._seen is not None:
            await wait_or_end([asyncio.create_task(self._last_look())], patience)
        self.end(None)

    async def _last_look(self) -> None:
        try:
            await self._look()
        except (BuslogError, asyncio.CancelledError) as error:
            reason = error if isinstance(error, BuslogError) else "the database does not answer"
            log.warning("follow: %s; the last messages are not in the streams", reason)

    async def _read(self) -> None:
        while self._streams:
            await wait_for(self._wake, self._poll * random.uniform(0.8, 1.0))  # noqa: S311  (jitter)
            self._wake.clear()
            try:
                await self._look()
                await asyncio.sleep(LOOK_SPACING)
            except BuslogError as error:
                log.warning("follow: %s; it goes on where it was", error)
                await asyncio.sleep(BACKOFF * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
        self._reader = self._seen = None

    async def _listen(self) -> None:
        while True:
            try:
                connection = await db.connect_async(self._dsn)
                async with connection:
                    with db.translated(self._dsn):
                        await connection.execute("LISTEN buslog")
                        async for _ in connection.notifies():
                            self._wake.set()
            except BuslogError as error:
                log.warning("listen: %s; the poll goes on", error)
            await asyncio.sleep(BACKOFF * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)

    async def _look(self) -> None:
        async with self._looking:
            patterns = {_like(name) for stream in self._streams for name in stream.names}
            self._seen, found = await self._store.follow(self._seen, sorted(patterns))
            for logged in found:
                for stream in list(self._streams):
                    stream.take(logged)


def _record(logged: Logged, event: Event[Any] | None) -> Record[Any] | None:
    """None for a payload that cannot be what the reader was promised: the log keeps it, and its deliveries fail."""
    try:
        payload = decode(logged.payload) if event is None else parse_payload(event.payload_type, logged.payload)
    except PayloadRejected as error:
        log.warning("message %s is left out of a stream: %s", logged.id, error)
        return None
    return Record(**{**logged._asdict(), "kind": Kind(logged.kind), "payload": payload})


def _like(name: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", name).replace(ANYTHING, "%")
