"""What rooms with tasks need of an event loop: which one it is, loops that survive, an end that is heard, a gate."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

log = logging.getLogger("buslog.worker")

CANCEL_EVERY = 0.2  # seconds
LOOK_EVERY = 0.05  # seconds
BACKOFF = (0.1, 5.0)  # seconds: the first wait after a database error, and the longest


class Gate:
    """Claims and emits pass it together while the database leases deliveries to us that we have not taken in yet;
    whoever asks what is leased to us passes it alone.
    """

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        async with self._door:
            self._inside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        async with self._door:
            await self._empty.wait()
            yield


class Alarms:
    """Many alarms that hardly ever ring, for the price of one look every `LOOK_EVERY`: a timer of the event loop's for
    each costs a fifth of what a worker does for a delivery. They ring late by that much at most.
    """

    def __init__(self) -> None:
        self._alarms: dict[int, tuple[float, Callable[[], object]]] = {}
        self._numbers = itertools.count()
        self._looking = False

    def set(self, seconds: float, ring: Callable[[], object]) -> int:
        """Rings once, in so many seconds; returns what `clear` asks for."""
        number = next(self._numbers)
        self._alarms[number] = (time.monotonic() + seconds, ring)
        if not self._looking:
            self._look_again()
        return number

    def has_rung(self, number: int) -> bool:
        """Whether it has, if nobody cleared it."""
        return number not in self._alarms

    def clear(self, number: int) -> None:
        self._alarms.pop(number, None)

    def _look(self) -> None:
        now = time.monotonic()
        for number in [number for number, (at, _) in self._alarms.items() if at <= now]:
            self._alarms.pop(number)[1]()
        self._looking = False
        if self._alarms:
            self._look_again()

    def _look_again(self) -> None:
        self._looking = True
        asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)


_alarms: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Alarms] = weakref.WeakKeyDictionary()


def alarms() -> Alarms:
    """Those of the running event loop."""
    loop = asyncio.get_running_loop()
    found = _alarms.get(loop)
    if found is None:
        found = _alarms[loop] = Alarms()
    return found


async def surviving(loop: Any) -> None:
    """Runs a loop of the worker again when something unforeseen ends it: a worker that holds a lease must work."""
    while True:
        try:
            coroutine: Coroutine[Any, Any, None] = loop()
            await coroutine
        except Exception:
            log.exception("unforeseen error; going on")
            await asyncio.sleep(1.0)
        else:
            return


def current_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that the caller runs in; None in a plain thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


async def wait_or_end(tasks: Iterable[asyncio.Task[None]], patience: float) -> None:
    """Wait until tasks have ended, at most `patience` seconds; then end them."""
    if pending := set(tasks):
        _, pending = await asyncio.wait(pending, timeout=patience)
        await end_all(pending)


async def end_all(tasks: Iterable[asyncio.Task[None]], *, patience: float = float("inf")) -> set[asyncio.Task[None]]:
    """Cancel until all have ended, for at most `patience` seconds; returns those that have not.

    Once is not enough: before Python 3.12, `asyncio.wait_for` swallows a cancellation that comes at the moment its
    awaitable is done, and the pool of connections waits in it.
    """
    pending = {task for task in tasks if not task.done()}
    give_up_at = asyncio.get_running_loop().time() + patience
    while pending and asyncio.get_running_loop().time() < give_up_at:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_EVERY)
    return pending
