"""Upkeep that every worker shares: take back the deliveries of workers that are gone, make partitions ahead, forget
what has expired.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from buslog.errors import BuslogError
from buslog.execution import Outcome
from buslog.message import State
from buslog.store import Orphan, Settlement, Store

log = logging.getLogger("buslog.worker")

RESCUE_BATCH = 500
RESCUE_ALL_EVERY = 60.0  # seconds between looks for deliveries of workers whose row is gone altogether
UPKEEP_EVERY = 600.0


class Rescue:
    """A worker's upkeep. `every` in seconds; `rescued` is called when deliveries have become ready or due."""

    def __init__(self, store: Store, every: float, rescued: Callable[[], None]) -> None:
        self._store = store
        self._every = every
        self._rescued = rescued

    async def run(self) -> None:
        """Until cancelled."""
        rescue_all_at = upkeep_at = 0.0
        while True:
            try:
                if await self._store.retire_workers() or time.monotonic() >= rescue_all_at:
                    await self._rescue()
                    rescue_all_at = time.monotonic() + RESCUE_ALL_EVERY
                if time.monotonic() >= upkeep_at:
                    await self._store.upkeep()
                    upkeep_at = time.monotonic() + UPKEEP_EVERY
            except BuslogError as error:
                log.warning("rescue: %s", error)
            await asyncio.sleep(self._every * random.uniform(0.8, 1.2))  # noqa: S311  (jitter)

    async def _rescue(self) -> None:
        """The settle's fence decides between two rescuers, and between them and a worker that was only slow."""
        while orphans := await self._store.orphans(RESCUE_BATCH):
            for worker in {orphan.worker for orphan in orphans}:
                lost = [_lost(orphan) for orphan in orphans if orphan.worker == worker]
                log.warning("rescuing %d deliveries of %s", len(lost), worker)
                await self._store.settle(lost, worker, "", lost=True)
            self._rescued()
        await self._store.forget_retired()


def _lost(orphan: Orphan) -> Settlement:
    delay = orphan.retry.delay_after(orphan.charged)
    outcome = Outcome(
        State.FAILED if delay is None else State.RETRYING,
        delay=delay,
        error_type="WorkerLost",
        error=f"worker {orphan.worker} stopped renewing its lease while it ran this",
    )
    return Settlement(orphan.message_id, orphan.subscription_id, orphan.fence, outcome)
