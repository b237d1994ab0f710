"""Outcomes on their way into the log: gathered while a settle is in flight, out together in the next one."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from buslog.errors import BuslogError, InvalidMessage
from buslog.execution import Outcome
from buslog.loops import BACKOFF
from buslog.retry import LONGEST_DELAY
from buslog.store import Settlement, Store

log = logging.getLogger("buslog.worker")

SETTLE_BATCH = 500

Heard = Callable[[Sequence[Settlement], set[int]], None]


class Settling:
    """A worker's outcomes. `heard` is told of each batch that is settled, and the fences of what was not stale."""

    def __init__(self, store: Store, worker: str, code_version: str, heard: Heard) -> None:
        self._store = store
        self._worker = worker
        self._code_version = code_version
        self._heard = heard
        self._waiting: list[Settlement] = []
        self._any = asyncio.Event()

    def add(self, settlement: Settlement) -> None:
        self._waiting.append(settlement)
        self._any.set()

    async def drain(self, patience: float) -> None:
        """Wait until all is settled, at most so many seconds."""
        give_up_at = time.monotonic() + patience
        while self._waiting and time.monotonic() < give_up_at:
            await asyncio.sleep(0.01)

    async def run(self) -> None:
        """Until cancelled."""
        backoff, size = BACKOFF[0], SETTLE_BATCH
        while True:
            await self._any.wait()
            batch = self._waiting[:size]
            try:
                await self._settle(batch)
            except BuslogError as error:
                log.warning("settle: %s; the outcomes are kept and tried again", error)
                # One that cannot be settled must not keep the others: singly now, and it last.
                self._waiting[: len(batch)] = []
                self._waiting += batch
                size = 1
                await asyncio.sleep(backoff * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
                backoff = min(backoff * 2, BACKOFF[1])
                continue
            backoff, size = BACKOFF[0], SETTLE_BATCH
            del self._waiting[: len(batch)]
            if not self._waiting:
                self._any.clear()

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        try:
            accepted = await self._store.settle(batch, self._worker, self._code_version)
        except InvalidMessage:
            # Something in one of them cannot be stored: the others must not wait for it.
            if len(batch) > 1:
                for settlement in batch:
                    await self._settle([settlement])
                return
            accepted = await self._store.settle([_bare(batch[0])], self._worker, self._code_version)
        self._heard(batch, accepted)


def _bare(settlement: Settlement) -> Settlement:
    """The same outcome without what could not be stored."""
    outcome = settlement.outcome
    told = None if outcome.error_type is None else "its text could not be stored"
    delay = None if outcome.delay is None else min(outcome.delay, LONGEST_DELAY)
    bare = Outcome(outcome.state, delay=delay, error_type=outcome.error_type and "Error", error=told)
    return Settlement(settlement.message_id, settlement.subscription_id, settlement.fence, bare)
