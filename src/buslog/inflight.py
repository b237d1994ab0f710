"""The deliveries that run in this process: started, stopped, and known until they are settled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from buslog import telemetry
from buslog.config import Settings
from buslog.errors import BuslogError
from buslog.execution import RELEASED, SUCCEEDED, Cancel, Claimed, Outcome, execute, unjudged
from buslog.loops import end_all
from buslog.masking import Mask
from buslog.message import Mode, State
from buslog.notifier import Notifier
from buslog.settling import Settling
from buslog.store import Settlement, Store
from buslog.subscription import Subscription
from buslog.transaction import Transactions

log = logging.getLogger("buslog.worker")

MANY_THREADS = 10_000  # made only when none is idle
DEAF_SECONDS = 5.0  # a subscriber that swallows its cancellation for so long is left to its lease
ALONE_PATIENCE = 60.0  # seconds that a delivery which is to run alone waits for its neighbours to end


class Run(NamedTuple):
    """A delivery, and the task that runs it."""

    claimed: Claimed
    task: asyncio.Task[None]


class InFlight:
    """What runs, by its fence, which no two deliveries share, and how many places are left. `wake` is called when there
    may be something to claim.

    Sync deliveries of messages emitted by this process start even when all places are taken: their publisher waits for
    them, and may hold one of the places itself.
    """

    def __init__(
        self, dsn: str, store: Store, notifier: Notifier, settings: Settings, *, worker: str,
        hosted: Mapping[int, Subscription], wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._notifier = notifier
        self._settings = settings
        self._hosted = hosted
        self._wake = wake
        self.settling = Settling(store, worker, settings.version, self._heard)
        self._transactions = Transactions(dsn, settings.concurrency, worker, settings.version)
        # Places bound the others; a sync delivery must always find a thread, or its publisher waits in one for ever.
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(MANY_THREADS, thread_name_prefix="buslog-subscriber")
        self._in_flight: dict[int, Run] = {}  # until settled
        self._cancelled: set[int] = set()  # told to stop, because a person cancelled them
        self._committed: set[int] = set()  # in the subscriber's own transaction: settled, and still running
        self._waiters: dict[int, asyncio.Future[Outcome]] = {}
        self._places_taken = 0
        self.starved = False  # the last look for work found no free place
        self.closing = False  # nothing more is to start
        self._releasing = False  # nor is what has been started to begin
        self.alone = False  # what runs is to have no neighbours
        self.ran_alone = False  # something without neighbours has just ended
        self.alone_after = 0.0  # monotonic: neighbours that did not end get time before the next attempt

    # ── places ──────────────────────────────────────────────────────────────────

    @property
    def free_places(self) -> int:
        return 0 if self.closing or self.alone else max(0, self._settings.concurrency - self._places_taken)

    def reserve(self, places: int) -> None:
        self._places_taken += places

    def give_back(self, places: int) -> None:
        self._places_taken -= places
        if places and self.starved:
            self._wake()

    # ── start ───────────────────────────────────────────────────────────────────

    @property
    def fences(self) -> set[int]:
        """Of what runs, or waits to be settled."""
        return set(self._in_flight)

    @property
    def _running(self) -> list[asyncio.Task[None]]:
        return [run.task for run in self._in_flight.values() if not run.task.done()]

    def adopt(self, claims: Iterable[Claimed]) -> dict[int, asyncio.Future[Outcome]]:
        """Start deliveries leased to this worker. Returns the outcomes of the sync ones, by subscription."""
        sync: dict[int, asyncio.Future[Outcome]] = {}
        for claimed in claims:
            subscription = self._hosted.get(claimed.subscription_id)
            if subscription is not None and subscription.mode is Mode.SYNC:
                waiter = self._loop.create_future()
                self._waiters[claimed.fence] = sync[claimed.subscription_id] = waiter
            self.start(claimed)
        return sync

    def start(self, claimed: Claimed, *, alone: bool = False) -> None:
        """Start a delivery; alone: once nothing else runs, and until it has ended no places are free."""
        self.alone = self.alone or alone
        self.reserve(1)
        self._in_flight[claimed.fence] = Run(claimed, self._loop.create_task(self._run(claimed, alone=alone)))

    async def _neighbours_end(self, claimed: Claimed) -> bool:
        log.warning("delivery %s × %s lost its worker before; it runs alone",
                    claimed.message_id, claimed.subscription_id, extra=self.fields(claimed))  # fmt: skip
        this = asyncio.current_task()
        give_up_at = time.monotonic() + ALONE_PATIENCE
        while neighbours := [task for task in self._running if task is not this]:
            if self.closing or time.monotonic() >= give_up_at:
                self.alone_after = time.monotonic() + ALONE_PATIENCE
                return False
            await asyncio.wait(neighbours, timeout=1.0)
        return True

    # ── run ─────────────────────────────────────────────────────────────────────

    async def _run(self, claimed: Claimed, *, alone: bool) -> None:
        fence = claimed.fence
        subscription = self._hosted.get(claimed.subscription_id)
        try:
            if subscription is None or self._releasing or (alone and not await self._neighbours_end(claimed)):
                outcome = RELEASED
            else:
                begin = lambda: self._transactions.make(claimed, lambda: self._committed.add(fence))  # noqa: E731
                outcome = await execute(claimed, subscription, self._threads, begin)
        except asyncio.CancelledError:
            if fence in self._cancelled:
                self._forget_cancelled(claimed)
                return
            if subscription is not None and subscription.runs_in_thread:
                self._abandon(claimed)
                raise
            outcome = SUCCEEDED if fence in self._committed else RELEASED
        except Exception as error:  # nothing may end without an outcome
            log.exception("an attempt could not be judged")
            assert subscription is not None
            outcome = unjudged(error, claimed.charged, subscription)
        finally:
            self.give_back(1)
            if alone:
                self.alone = False
                self.ran_alone = True
                self._wake()
        if fence in self._committed:
            await self._keep(claimed, outcome)
        else:
            self.settling.add(_settlement(claimed, outcome))

    async def _keep(self, claimed: Claimed, outcome: Outcome) -> None:
        """The delivery was settled in the subscriber's own transaction; what it returned is kept beside."""
        if outcome.state is not State.SUCCEEDED:
            said = Mask(self._settings.mask_fields or ()).of(claimed.payload).text(outcome.error)
            log.error("delivery %s × %s had succeeded before its subscriber raised %s: %s", claimed.message_id,
                      claimed.subscription_id, outcome.error_type, said, extra=self.fields(claimed))  # fmt: skip
        elif outcome.result is not None:
            try:
                await self._store.keep_result(claimed, outcome.result)
            except BuslogError as error:
                log.warning("the result of %s × %s was not kept: %s",
                            claimed.message_id, claimed.subscription_id, error,
                            extra=self.fields(claimed))  # fmt: skip
        self._committed.discard(claimed.fence)
        self._heard([_settlement(claimed, SUCCEEDED)], {claimed.fence})

    def _abandon(self, claimed: Claimed) -> None:
        log.warning("delivery %s × %s still runs in its thread; its lease will run out",
                    claimed.message_id, claimed.subscription_id, extra=self.fields(claimed))  # fmt: skip
        self._resolve(claimed.fence, RELEASED)

    # ── settled ─────────────────────────────────────────────────────────────────

    def _heard(self, batch: Sequence[Settlement], accepted: set[int]) -> None:
        """What was settled, and the fences of what was not stale."""
        telemetry.count_settle((self._named(s.subscription_id), s.outcome.state) for s in batch if s.fence in accepted)
        wake = notify = False
        for settlement in batch:
            fence = settlement.fence
            if fence not in accepted:
                log.warning("stale outcome of delivery %s × %s refused", settlement.message_id,
                            settlement.subscription_id, extra=self.fields(settlement))  # fmt: skip
            self._in_flight.pop(fence, None)
            self._cancelled.discard(fence)  # of a coroutine that went on all the same
            self._resolve(fence, settlement.outcome)
            subscription = self._hosted.get(settlement.subscription_id)
            if subscription is not None and subscription.holds_back:
                wake = True
                notify = notify or subscription.holds_back_everywhere
        if wake:
            self._wake()  # the next of its chain or key may be ready, or a limit allow one more
        if notify:
            self._notifier.soon()

    def fields(self, of: Claimed | Settlement) -> dict[str, str]:
        """What a record of the log tells of a delivery."""
        return {"message_id": str(of.message_id), "subscription": self._named(of.subscription_id)}

    def _named(self, number: int) -> str:
        subscription = self._hosted.get(number)
        return subscription.id if subscription else str(number)

    def _resolve(self, fence: int, outcome: Outcome) -> None:
        if (waiter := self._waiters.pop(fence, None)) and not waiter.done():
            waiter.set_result(outcome)

    # ── cancelled under us ──────────────────────────────────────────────────────

    async def stop_cancelled(self) -> None:
        """Stop the coroutines whose delivery is no longer ours. A plain function runs on; its outcome is refused."""
        asked = [run.claimed for fence, run in self._in_flight.items() if fence not in self._committed]
        for fence in await self._store.taken_away(asked):
            run = self._in_flight.get(fence)
            if run is None or run.task.done() or fence in self._committed:
                continue  # it has ended meanwhile, or is gone because it has succeeded
            claimed = run.claimed
            subscription = self._hosted.get(claimed.subscription_id)
            if subscription is None or subscription.runs_in_thread:
                continue
            log.warning("delivery %s × %s was cancelled, or rescued; stopping it", claimed.message_id,
                        claimed.subscription_id)  # fmt: skip
            self._cancelled.add(fence)
            run.task.cancel()

    def _forget_cancelled(self, claimed: Claimed) -> None:
        self._cancelled.discard(claimed.fence)
        self._in_flight.pop(claimed.fence, None)
        error = Cancel("it was cancelled while it ran")
        self._resolve(claimed.fence, Outcome(State.CANCELLED, error_type="Cancel", error=str(error), exception=error))

    # ── stop ────────────────────────────────────────────────────────────────────

    async def finish(self, patience: float) -> None:
        """Let what runs end by itself, for so many seconds."""
        if running := self._running:
            await asyncio.wait(running, timeout=patience)

    async def release(self) -> bool:
        """Stop what still runs, uncharged. True when a subscriber could not be stopped and is left to its lease."""
        self._releasing = True
        await asyncio.sleep(0)  # what is cancelled before it has begun cannot say what becomes of it
        running = self._running
        deaf = await end_all(running, patience=DEAF_SECONDS)
        return bool(deaf) or any(task.cancelled() for task in running)

    async def close(self) -> None:
        """After the last settle: threads and connections; publishers hear that what is left is still pending."""
        self._threads.shutdown(wait=False)
        await self._transactions.close()
        for fence in list(self._waiters):
            self._resolve(fence, RELEASED)


def _settlement(claimed: Claimed, outcome: Outcome) -> Settlement:
    return Settlement(claimed.message_id, claimed.subscription_id, claimed.fence, outcome)
