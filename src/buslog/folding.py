"""What is made of the log after the emit: counts that charts read, failures by cause, and refs to find messages by. The
workers make them, one at a time, from what has become visible.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from buslog.errors import BuslogError

log = logging.getLogger("buslog.worker")

FOLD_EVERY = 5.0  # seconds; what came since is counted by whoever looks
FOLD_BATCH = 20_000  # messages, ended deliveries and errors, of each
FAILURES_EVERY = 1.0  # seconds
FAILURES_BATCH = 5_000
REFS_EVERY = 1.0  # seconds; what came since is not found by its refs yet
REFS_BATCH = 5_000  # messages
LONGEST_PAUSE = 1.0  # seconds between two batches of a log that has much to catch up with


class Folding:
    """A worker's share in one fold. Whichever worker comes first folds, the others pass.

    fold: takes in about so many rows; whether there is more. every: seconds between two looks.
    """

    def __init__(self, fold: Callable[[int], Awaitable[bool]], places: int, every: float) -> None:
        self._fold = fold
        self._places = places
        self._every = every

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pause = self._every * random.uniform(0.8, 1.2)  # noqa: S311  (jitter)
            began = time.monotonic()
            try:
                if await self._fold(self._places):
                    pause = min(time.monotonic() - began, LONGEST_PAUSE)  # half of a processor is left to others
            except BuslogError as error:
                log.warning("fold: %s; it goes on where it was", error)
            await asyncio.sleep(pause)
