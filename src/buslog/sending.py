"""Stored runs, carried on: any worker takes the next step of any run, and one that dies leaves it to the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from buslog.errors import BuslogError
from buslog.loops import wait_for
from buslog.store import Store

log = logging.getLogger("buslog.worker")

STEP = 1_000  # deliveries sent in one transaction, at most
FIRST_STEP = 100  # of a run; each is twice the one before, so that what is sent first runs while the next step is made
SHORTEST_WAIT = 0.05  # seconds, where another worker is at the only run that is due


class Sending:
    """A worker's share in the stored runs. `every`: seconds between looks when nobody has started a run; `sent` is
    called when deliveries have become ready: it wakes this worker and the others.
    """

    def __init__(self, store: Store, every: float, sent: Callable[[], None]) -> None:
        self._store = store
        self._every = every
        self._sent = sent
        self._started = asyncio.Event()

    def look(self) -> None:
        """A run was started or stopped."""
        self._started.set()

    async def run(self) -> None:
        """Until cancelled."""
        places = FIRST_STEP
        while True:
            self._started.clear()
            wait = self._every
            try:
                step = await self._store.carry_on(places)
                places = min(2 * places, STEP) if step.moved else FIRST_STEP
                if step.moved:
                    self._sent()
                if step.next_in is not None:
                    wait = min(wait, max(step.next_in, 0.0 if step.moved else SHORTEST_WAIT))
            except BuslogError as error:
                log.warning("stored runs: %s", error)
            if wait:
                await wait_for(self._started, wait)
