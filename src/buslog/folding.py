"""Charts read counts instead of the log, and failures are grouped by cause: workers keep both, one at a time, from what
has become visible.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from buslog.errors import BuslogError
from buslog.store import Store

log = logging.getLogger("buslog.worker")

FOLD_EVERY = 5.0  # seconds; what came since is counted by whoever looks
FOLD_BATCH = 20_000  # messages, ended deliveries and errors, of each
FAILURES_EVERY = 1.0  # seconds
FAILURES_BATCH = 5_000
LONGEST_PAUSE = 1.0  # seconds between two batches of a log that has much to catch up with


class Folding:
    """A worker's share in keeping the series and the failure groups. Whichever worker comes first folds, the others
    pass.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def run(self) -> None:
        """Keeps the series, until cancelled."""
        await self._repeat(self._store.fold, FOLD_BATCH, FOLD_EVERY)

    async def run_failures(self) -> None:
        """Keeps the failure groups, until cancelled."""
        await self._repeat(self._store.fold_failures, FAILURES_BATCH, FAILURES_EVERY)

    async def _repeat(self, fold: Callable[[int], Awaitable[bool]], batch: int, every: float) -> None:
        while True:
            pause = every * random.uniform(0.8, 1.2)  # noqa: S311  (jitter)
            began = time.monotonic()
            try:
                if await fold(batch):
                    pause = min(time.monotonic() - began, LONGEST_PAUSE)  # half of a processor is left to others
            except BuslogError as error:
                log.warning("fold: %s; it goes on where it was", error)
            await asyncio.sleep(pause)
