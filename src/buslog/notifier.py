"""Wakes sleeping workers, after the commit that gave them work and coalesced: commits that notify take turns."""

from __future__ import annotations

import asyncio

from buslog.errors import BuslogError
from buslog.loops import wait_or_end
from buslog.store import Store

SPACING = 0.01  # seconds; more notifications than that wake nobody sooner


class Notifier:
    """One process's notifications."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._running: asyncio.Task[None] | None = None
        self._again = False

    def soon(self) -> None:
        """Notify now, or with the next notification that leaves."""
        self._again = True
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="buslog-notify")

    def with_emit(self) -> bool:
        """Whether one may leave with an emit that is about to be sent; it counts as one that has left."""
        if self._running is not None:
            return False
        self._running = asyncio.create_task(self._run(SPACING), name="buslog-notify")
        return True

    async def drain(self, patience: float) -> None:
        """Wait until what was asked for is out, at most so many seconds."""
        if self._running is not None:
            await wait_or_end([self._running], patience)

    async def _run(self, pause: float = 0.0) -> None:
        try:
            if pause:
                await asyncio.sleep(pause)
            while self._again:
                self._again = False
                await self._store.notify()
                await asyncio.sleep(SPACING)
        except BuslogError:
            pass  # the workers' poll finds what a lost notification would have told
        finally:
            self._running = None
