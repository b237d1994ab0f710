"""claim → execute → settle. Holds a lease and stops gracefully."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from uuid import UUID

from buslog import db
from buslog.config import Settings
from buslog.errors import BuslogError, InvalidMessage
from buslog.execution import RELEASED, Claimed, Outcome, execute, runs_in_thread, unjudged
from buslog.lease import BEATS_PER_LEASE, Beat
from buslog.loops import Gate, end_all, surviving, wait_for
from buslog.message import Mode
from buslog.rescue import Rescue
from buslog.retry import LONGEST_DELAY
from buslog.store import NOBODY, Lease, Settlement, Store
from buslog.subscription import Subscription

log = logging.getLogger("buslog.worker")

SETTLE_BATCH = 500
RECONCILE_EVERY = 30.0  # seconds between looks for deliveries leased to us whose claim we never heard of
MANY_THREADS = 10_000  # made only when none is idle
DEAF_SECONDS = 5.0  # a subscriber that swallows its cancellation for so long is left to its lease
BACKOFF = (0.1, 5.0)  # seconds: the first wait after a database error, and the longest

Key = tuple[UUID, int, int]  # message, subscription number, fence


class Worker:
    """Runs the subscribers it hosts, up to `concurrency` deliveries at once.

    Sync deliveries of messages emitted by this process start even when all places are taken: their publisher waits for
    them, and may hold one of the places itself.
    """

    def __init__(self, dsn: str, store: Store, settings: Settings) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._gate = Gate()
        self._dsn = dsn
        self._store = store
        self._settings = settings
        self._hosted: dict[int, Subscription] = {}
        self._id: int | None = None
        self._beat: Beat | None = None
        # Places bound the others; a sync delivery must always find a thread, or its publisher waits in one for ever.
        self._threads = ThreadPoolExecutor(MANY_THREADS, thread_name_prefix="buslog-subscriber")
        self._in_flight: dict[Key, asyncio.Task[None]] = {}  # until settled
        self._places_taken = 0
        self._outcomes: list[Settlement] = []
        self._waiters: dict[Key, asyncio.Future[Outcome]] = {}
        self._loops: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._has_outcomes = asyncio.Event()
        self._stopping = False
        self._closed = False  # nothing is leased to us any more
        self._starved = False  # the last look for work found no free place
        self._reconcile_at = time.monotonic() + RECONCILE_EVERY
        self._due_check_at = 0.0

    # ── what the bus asks ───────────────────────────────────────────────────────

    async def start(self, hosted: Mapping[int, Subscription]) -> None:
        """Enter the database with a lease and begin to work."""
        self._hosted = dict(hosted)
        await self._enter()
        rescue = Rescue(self._store, self._settings.lease / BEATS_PER_LEASE, self._wake.set)
        loops = {"claim": self._claim_loop, "settle": self._settle_loop, "listen": self._listen_loop,
                 "rescue": rescue.run}  # fmt: skip
        self._loops = [asyncio.create_task(surviving(loop), name=f"buslog-{name}") for name, loop in loops.items()]

    def host(self, number: int, subscription: Subscription) -> None:
        """Take one more subscription in."""
        self._hosted[number] = subscription
        self._tell_beat()
        self._wake.set()

    def unhost(self, number: int) -> None:
        """Start no more deliveries of a subscription."""
        self._hosted.pop(number, None)
        self._tell_beat()

    @asynccontextmanager
    async def leasing(self, wanted: int) -> AsyncIterator[Lease]:
        """What the database may lease to this worker now, at most `wanted` places. They are kept free until the end, by
        when what was leased has been started; nobody asks meanwhile what is leased to us.
        """
        async with self._gate.shared():
            places = min(wanted, self._free_places)
            self._places_taken += places
            try:
                yield NOBODY if self._id is None or self._closed else Lease(self._id, list(self._hosted), places)
            finally:
                self._give_back(places)

    def adopt(self, claims: Sequence[Claimed]) -> dict[int, asyncio.Future[Outcome]]:
        """Start deliveries leased to this worker. Returns the outcomes of the sync ones, by subscription."""
        sync: dict[int, asyncio.Future[Outcome]] = {}
        for claimed in claims:
            subscription = self._hosted.get(claimed.subscription_id)
            if subscription is not None and subscription.mode is Mode.SYNC:
                waiter = asyncio.get_running_loop().create_future()
                self._waiters[_key(claimed)] = sync[claimed.subscription_id] = waiter
            self._start(claimed)
        return sync

    def reconcile_soon(self) -> None:
        """The answer to a claim or emit was lost: look for what the database leased to us."""
        self._reconcile_at = 0.0
        self._wake.set()

    async def stop(self) -> None:
        """Stop claiming, let what runs finish within the grace period, release the rest without charging an attempt.

        A subscriber in a thread cannot be stopped: past the grace period it is left to its lease, so that nobody runs
        it a second time while it runs.
        """
        self._stopping = True
        self._wake.set()
        claim, settle, *others = self._loops
        await asyncio.gather(claim, end_all(others))
        running = [task for task in self._in_flight.values() if not task.done()]
        if running:
            await asyncio.wait(running, timeout=self._settings.grace)
        async with self._gate.exclusive():  # what emits half-way had leased to us has been taken in
            self._closed = True
        abandoned = await self._release_running()
        give_up_at = time.monotonic() + self._settings.grace
        while self._outcomes and time.monotonic() < give_up_at:
            await asyncio.sleep(0.01)
        await end_all([settle])
        self._threads.shutdown(wait=False)
        await self._leave(abandoned=abandoned)
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_result(RELEASED)  # its publisher hears that it is still pending
        self._waiters.clear()

    # ── claim ───────────────────────────────────────────────────────────────────

    @property
    def _free_places(self) -> int:
        return 0 if self._stopping else max(0, self._settings.concurrency - self._places_taken)

    async def _claim_loop(self) -> None:
        backoff = BACKOFF[0]
        while not self._stopping:
            self._wake.clear()
            try:
                wait = await self._claim_once()
                backoff = BACKOFF[0]
            except BuslogError as error:
                log.warning("claim: %s", error)
                self._reconcile_at = 0.0
                wait = backoff * random.uniform(0.5, 1.5)  # noqa: S311  (jitter)
                backoff = min(backoff * 2, BACKOFF[1])
            if wait and not self._stopping:
                await wait_for(self._wake, wait)

    async def _claim_once(self) -> float:
        """One pass; returns how many seconds to wait for the next one, at most."""
        if time.monotonic() >= self._reconcile_at:
            await self._reconcile()
        next_due = await self._promote_due()
        if not self._hosted or self._id is None:
            return self._settings.poll
        async with self.leasing(self._settings.concurrency) as lease:
            claims = []
            if lease.worker is not None and lease.places:
                hosts = random.sample(lease.hosts, len(lease.hosts))
                claims = await self._store.claim(lease.worker, hosts, lease.places)
            self.adopt(sorted(claims, key=lambda c: c.fence))
        self._starved = lease.places == 0
        if claims and len(claims) == lease.places:
            return 0.0
        return next_due

    async def _promote_due(self) -> float:
        """Seconds until something is due; looks at most once a poll, or when the next one is due."""
        now = time.monotonic()
        if now >= self._due_check_at:
            promoted, next_in = await self._store.promote_due(self._settings.concurrency * 10)
            poll = self._settings.poll * random.uniform(0.8, 1.0)  # noqa: S311  (jitter)
            wait = poll if next_in is None else min(next_in, poll)
            self._due_check_at = now + (0.0 if promoted else wait)
        return max(0.005, self._due_check_at - now)

    async def _reconcile(self) -> None:
        """Take in what is leased to us without our knowing; under the gate, so that no claim or emit is half-way."""
        async with self._gate.exclusive():
            if self._id is not None:
                known = set(self._in_flight)  # before asking: what is settled meanwhile must not look unheard
                for claimed in await self._store.held(self._id):
                    if _key(claimed) not in known:
                        log.warning("delivery %s × %s was leased here unheard; running it now",
                                    claimed.message_id, claimed.subscription_id)  # fmt: skip
                        self._start(claimed)
            self._reconcile_at = time.monotonic() + RECONCILE_EVERY

    # ── execute ─────────────────────────────────────────────────────────────────

    def _start(self, claimed: Claimed) -> None:
        self._places_taken += 1
        task = asyncio.create_task(self._run(claimed))
        self._in_flight[_key(claimed)] = task

    async def _run(self, claimed: Claimed) -> None:
        subscription = self._hosted.get(claimed.subscription_id)
        try:
            outcome = RELEASED if subscription is None else await execute(claimed, subscription, self._threads)
        except asyncio.CancelledError:
            if subscription is not None and runs_in_thread(subscription):
                self._abandon(claimed)
                raise
            outcome = RELEASED
        except Exception as error:  # nothing may end without an outcome
            log.exception("an attempt could not be judged")
            assert subscription is not None
            outcome = unjudged(error, claimed.charged, subscription)
        finally:
            self._give_back(1)
        self._outcomes.append(Settlement(claimed.message_id, claimed.subscription_id, claimed.fence, outcome))
        self._has_outcomes.set()

    def _give_back(self, places: int) -> None:
        self._places_taken -= places
        if places and self._starved:
            self._wake.set()

    def _abandon(self, claimed: Claimed) -> None:
        log.warning("delivery %s × %s still runs in its thread; its lease will run out",
                    claimed.message_id, claimed.subscription_id)  # fmt: skip
        if (waiter := self._waiters.pop(_key(claimed), None)) and not waiter.done():
            waiter.set_result(RELEASED)

    # ── settle ──────────────────────────────────────────────────────────────────

    async def _settle_loop(self) -> None:
        backoff, size = BACKOFF[0], SETTLE_BATCH
        while True:
            await self._has_outcomes.wait()
            batch = self._outcomes[:size]
            try:
                await self._settle(batch)
            except BuslogError as error:
                log.warning("settle: %s; the outcomes are kept and tried again", error)
                # One that cannot be settled must not keep the others: singly now, and it last.
                self._outcomes[: len(batch)] = []
                self._outcomes += batch
                size = 1
                await asyncio.sleep(backoff * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
                backoff = min(backoff * 2, BACKOFF[1])
                continue
            backoff, size = BACKOFF[0], SETTLE_BATCH
            del self._outcomes[: len(batch)]
            if not self._outcomes:
                self._has_outcomes.clear()

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        try:
            accepted = await self._store.settle(batch, self.name, self._settings.version)
        except InvalidMessage:
            # Something in one of them cannot be stored: the others must not wait for it.
            if len(batch) > 1:
                for settlement in batch:
                    await self._settle([settlement])
                return
            accepted = await self._store.settle([_bare(batch[0])], self.name, self._settings.version)
        for settlement in batch:
            key = (settlement.message_id, settlement.subscription_id, settlement.fence)
            if (settlement.message_id, settlement.subscription_id) not in accepted:
                log.warning("stale outcome of delivery %s × %s refused", *key[:2])
            self._in_flight.pop(key, None)
            if (waiter := self._waiters.pop(key, None)) and not waiter.done():
                waiter.set_result(settlement.outcome)
        if any(_is_serial(self._hosted.get(settlement.subscription_id)) for settlement in batch):
            self._wake.set()  # the next of the chain may be ready

    # ── listen, lease ────────────────────────────────────────────────────────────

    async def _listen_loop(self) -> None:
        while True:
            try:
                connection = await db.connect_async(self._dsn)
                async with connection:
                    with db.translated(self._dsn):
                        await connection.execute("LISTEN buslog")
                        self._wake.set()  # what was said while nobody listened
                        async for _ in connection.notifies():
                            self._wake.set()
            except BuslogError as error:
                log.warning("listen: %s; the poll goes on", error)
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311  (jitter)

    async def _enter(self) -> None:
        hosts = list(self._hosted)
        self._id = await self._store.enter(self.name, self._settings.version, hosts, self._settings.lease)
        loop = asyncio.get_running_loop()
        lost = lambda: loop.call_soon_threadsafe(self._enter_anew)  # noqa: E731
        self._beat = Beat(self._dsn, self._id, hosts, self._settings.lease, lost)
        self._beat.start()

    def _enter_anew(self) -> None:
        """Retired meanwhile: what runs is no longer ours to settle, new claims need a new id."""
        log.warning("lease lost; entering anew")
        self._id = None
        self._loops.append(asyncio.create_task(surviving(self._enter), name="buslog-enter"))

    def _tell_beat(self) -> None:
        if self._beat is not None:
            self._beat.hosts = list(self._hosted)

    # ── stop ────────────────────────────────────────────────────────────────────

    async def _release_running(self) -> bool:
        """Stop what still runs. True when a subscriber could not be stopped and had to be left to its lease."""
        running = [task for task in self._in_flight.values() if not task.done()]
        deaf = await end_all(running, patience=DEAF_SECONDS)
        return bool(deaf) or any(task.cancelled() for task in running)

    async def _leave(self, *, abandoned: bool) -> None:
        if self._beat is not None:
            await asyncio.to_thread(self._beat.stop)
        if abandoned or self._id is None:
            return
        try:
            unheard = [c for c in await self._store.held(self._id) if _key(c) not in self._in_flight]
            release = [Settlement(c.message_id, c.subscription_id, c.fence, RELEASED) for c in unheard]
            if release:
                await self._store.settle(release, self.name, self._settings.version)
            await self._store.leave(self._id)
        except BuslogError as error:
            log.warning("leaving: %s; the lease will run out", error)


def _key(claimed: Claimed) -> Key:
    return claimed.message_id, claimed.subscription_id, claimed.fence


def _is_serial(subscription: Subscription | None) -> bool:
    return subscription is not None and subscription.mode is Mode.SERIAL


def _bare(settlement: Settlement) -> Settlement:
    """The same outcome without what could not be stored."""
    outcome = settlement.outcome
    told = None if outcome.error_type is None else "its text could not be stored"
    delay = None if outcome.delay is None else min(outcome.delay, LONGEST_DELAY)
    bare = Outcome(outcome.state, delay=delay, error_type=outcome.error_type and "Error", error=told)
    return Settlement(settlement.message_id, settlement.subscription_id, settlement.fence, bare)
