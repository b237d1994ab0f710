"""What a hosting process does: hold a lease, claim, hand over to run, listen, stop gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from buslog import db, folding, telemetry
from buslog.config import Settings
from buslog.errors import BuslogError
from buslog.execution import RELEASED, Claimed, Outcome
from buslog.floors import Floors
from buslog.folding import Folding
from buslog.inflight import InFlight
from buslog.lease import BEATS_PER_LEASE, Beat
from buslog.loops import BACKOFF, Gate, end_all, surviving, wait_for
from buslog.notifier import Notifier
from buslog.rescue import Rescue
from buslog.sending import Sending
from buslog.store import NOBODY, Lease, Settlement, Store
from buslog.subscription import Subscription

log = logging.getLogger("buslog.worker")

ALONE_BURST = 5.0  # seconds that one delivery after the other may run alone before the others have their turn
RECONCILE_EVERY = 30.0  # seconds between looks for deliveries leased to us whose claim we never heard of


class Worker:
    """Runs the subscribers it hosts, up to `concurrency` deliveries at once."""

    def __init__(self, dsn: str, store: Store, notifier: Notifier, settings: Settings) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._gate = Gate()
        self._dsn = dsn
        self._store = store
        self._settings = settings
        self._hosted: dict[int, Subscription] = {}
        self._id: int | None = None
        self._beat: Beat | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._wake = asyncio.Event()
        self._in_flight = InFlight(
            dsn, store, notifier, settings, worker=self.name, hosted=self._hosted, wake=self._wake.set
        )
        self._notifier = notifier
        self._sending = Sending(store, settings.poll, self._wake_all)
        self._floors = Floors(settings.poll)
        self._fan_outs: dict[str, int] = {}  # hosted subscriptions, by name
        self._behind = False  # the last claim took all it could: more waits than there are places for
        self._closed = False  # nothing is leased to us any more
        self._reconcile_at = time.monotonic() + RECONCILE_EVERY
        self._due_check_at = 0.0
        self._alone_check_at = 0.0
        self._alone_until = 0.0
        self._next_start_at: dict[int, float] = {}  # by rate-limited subscription that was claimed

    # ── what the bus asks ───────────────────────────────────────────────────────

    async def start(self, hosted: Mapping[int, Subscription]) -> None:
        """Enter the database with a lease and begin to work."""
        telemetry.look()
        self._hosted.update(hosted)
        await self._enter()
        rescue = Rescue(self._store, self._settings.lease / BEATS_PER_LEASE, self._wake.set)
        folds = {
            "fold": Folding(self._store.fold, folding.FOLD_BATCH, folding.FOLD_EVERY),
            "failures": Folding(self._store.fold_failures, folding.FAILURES_BATCH, folding.FAILURES_EVERY),
            "refs": Folding(self._store.fold_refs, folding.REFS_BATCH, folding.REFS_EVERY),
        }
        loops = {"claim": self._claim_loop, "settle": self._in_flight.settling.run, "listen": self._listen_loop,
                 "rescue": rescue.run, "sending": self._sending.run,
                 **{name: fold.run for name, fold in folds.items()}}  # fmt: skip
        self._loops = [asyncio.create_task(surviving(loop), name=f"buslog-{name}") for name, loop in loops.items()]

    def host(self, number: int, subscription: Subscription) -> None:
        """Take one more subscription in."""
        self._hosted[number] = subscription
        self._tell_hosts()
        self._wake.set()

    def unhost(self, number: int) -> None:
        """Start no more deliveries of a subscription."""
        self._hosted.pop(number, None)
        self._tell_hosts()

    @asynccontextmanager
    async def leasing(self, names: Sequence[str] | None = None) -> AsyncIterator[Lease]:
        """What the database may lease to this worker now: to a claim its free places, but no more than half of all, so
        that the next claim is on its way while what this one took runs; to an emit of messages of these names, of how
        many of them it can start the deliveries. The places are kept free until the end, by when what was leased has
        been started; nobody asks meanwhile what is leased to us.
        """
        async with self._gate.shared():
            free = self._in_flight.free_places
            if names is None:
                wanted = places = min(free, (self._settings.concurrency + 1) // 2)
            else:
                wanted, places = self._startable(names, free)
            self._in_flight.reserve(places)
            try:
                yield NOBODY if self._id is None or self._closed else Lease(self._id, list(self._hosted), wanted)
            finally:
                self._in_flight.give_back(places)

    def _startable(self, names: Sequence[str], free: int) -> tuple[int, int]:
        """Of how many messages, from the first on, all deliveries find places, and how many places those are. None
        while older deliveries wait for places: what is new would overtake them for ever.
        """
        messages = places = 0
        if not self._behind:
            for name in names:
                if places + self._fan_out(name) > free:
                    break
                messages, places = messages + 1, places + self._fan_out(name)
        return messages, places

    def _fan_out(self, name: str) -> int:
        """How many of the hosted subscriptions hear a name."""
        found = self._fan_outs.get(name)
        if found is None:
            found = self._fan_outs[name] = sum(hosted.hears(name) for hosted in self._hosted.values())
        return found

    def adopt(self, claims: Sequence[Claimed]) -> dict[int, asyncio.Future[Outcome]]:
        """Start deliveries leased to this worker. Returns the outcomes of the sync ones, by subscription."""
        return self._in_flight.adopt(claims)

    def reconcile_soon(self) -> None:
        """The answer to a claim or emit was lost: look for what the database leased to us."""
        self._reconcile_at = 0.0
        self._wake.set()

    async def stop(self) -> None:
        """Stop claiming, let what runs finish within the grace period, release the rest without charging an attempt.

        A subscriber in a thread cannot be stopped: past the grace period it is left to its lease, so that nobody runs
        it a second time while it runs.
        """
        self._in_flight.closing = True
        self._wake.set()
        claim, settle, *others = self._loops
        await asyncio.gather(asyncio.wait([claim], timeout=self._settings.grace), end_all(others))
        await end_all([claim])  # one that the database does not answer; what it leased to us is released below
        await self._in_flight.finish(self._settings.grace)
        self._closed = True
        with contextlib.suppress(TimeoutError):  # a database that does not answer is not waited for
            async with asyncio.timeout(max(1.0, self._settings.grace)), self._gate.exclusive():
                pass  # what emits half-way had leased to us has been taken in
        abandoned = await self._in_flight.release()
        await self._in_flight.settling.drain(self._settings.grace)
        await end_all([settle])
        await self._leave(abandoned=abandoned)
        await self._in_flight.close()

    def _wake_all(self) -> None:
        self._wake.set()
        self._notifier.soon()

    # ── claim ───────────────────────────────────────────────────────────────────

    async def _claim_loop(self) -> None:
        backoff = BACKOFF[0]
        while not self._in_flight.closing:
            self._wake.clear()
            try:
                wait = await self._claim_once()
                backoff = BACKOFF[0]
            except BuslogError as error:
                log.warning("claim: %s", error)
                self._reconcile_at = 0.0
                wait = backoff * random.uniform(0.5, 1.5)  # noqa: S311  (jitter)
                backoff = min(backoff * 2, BACKOFF[1])
            if wait and not self._in_flight.closing:
                await wait_for(self._wake, wait)

    async def _claim_once(self) -> float:
        """One pass; returns how many seconds to wait for the next one, at most. The looks that are due once a poll come
        after the claim: what was said waits for nothing else.
        """
        if time.monotonic() >= self._reconcile_at:
            await self._reconcile()
        if self._in_flight.ran_alone and time.monotonic() < self._alone_until:
            await self._look_for_one_alone()  # the next of them, while there are no neighbours
        claims = await self._claim() if self._hosted and self._id is not None else []
        if not self._behind:
            await asyncio.sleep(0)  # what was claimed starts before we look for anything else
        next_look = await self._promote_due()
        if time.monotonic() >= self._alone_check_at:
            self._alone_check_at = time.monotonic() + self._settings.poll
            self._alone_until = time.monotonic() + ALONE_BURST
            await self._look_for_one_alone()
        if claims and self._behind:
            return 0.0  # the next claim goes out before what this one took runs
        return min([next_look, self._floors.next_full_look(), *self._next_starts(claims)])

    async def _claim(self) -> list[Claimed]:
        claims: list[Claimed] = []
        async with self.leasing() as lease:
            if lease.worker is not None and lease.places:
                hosts = self._by_priority(lease.hosts)
                claims = await self._store.claim(lease.worker, hosts, lease.places, self._floors.below(hosts))
                self._floors.claimed(claims)
            self.adopt(sorted(claims, key=lambda c: c.fence))
        if claims:
            telemetry.count_claim(len(claims))
        self._in_flight.starved = lease.places == 0
        self._behind = len(claims) == lease.places
        return claims

    def _by_priority(self, hosts: Sequence[int]) -> list[int]:
        """Highest first, shuffled among equals, so that no subscription is always the last."""
        ranks = {n: (-s.priority, random.random()) for n, s in self._hosted.items()}  # noqa: S311
        return sorted((number for number in hosts if number in ranks), key=ranks.__getitem__)

    def _next_starts(self, claims: Sequence[Claimed]) -> list[float]:
        """In how many seconds the rates of what was claimed allow one more, also when something woke us before."""
        now = time.monotonic()
        for number in {claim.subscription_id for claim in claims} & self._hosted.keys():
            if rate := self._hosted[number].rate:
                self._next_start_at[number] = now + max(rate.per / rate.count, 0.01)
        self._next_start_at = {number: at for number, at in self._next_start_at.items() if at > now}
        return [at - now for at in self._next_start_at.values()]

    async def _look_for_one_alone(self) -> None:
        """Take a delivery that is to run with no neighbours; nothing more is claimed until it has run."""
        self._in_flight.ran_alone = False
        if self._in_flight.alone or self._in_flight.closing or time.monotonic() < self._in_flight.alone_after:
            return
        async with self._gate.shared():
            if self._id is None:
                return
            claimed = await self._store.claim_alone(self._id, list(self._hosted))
            if claimed is not None:
                self._in_flight.start(claimed, alone=True)

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
                known = self._in_flight.fences  # before asking: what is settled meanwhile must not look unheard
                for claimed in await self._store.held(self._id):
                    if claimed.fence not in known:
                        log.warning("delivery %s × %s was leased here unheard; running it now", claimed.message_id,
                                    claimed.subscription_id, extra=self._in_flight.fields(claimed))  # fmt: skip
                        self._in_flight.start(claimed)
            self._reconcile_at = time.monotonic() + RECONCILE_EVERY

    # ── listen, lease ────────────────────────────────────────────────────────────

    async def _listen_loop(self) -> None:
        while True:
            try:
                connection = await db.connect_async(self._dsn)
                async with connection:
                    with db.translated(self._dsn):
                        await connection.execute("LISTEN buslog")
                        await connection.execute("LISTEN buslog_cancelled")
                        await connection.execute("LISTEN buslog_replays")
                        self._wake.set()  # what was said while nobody listened
                        await self._in_flight.stop_cancelled()
                        async for told in connection.notifies():
                            if told.channel == "buslog_cancelled":
                                await self._in_flight.stop_cancelled()
                            if told.channel == "buslog_replays":
                                self._sending.look()
                            self._wake.set()
                            await asyncio.sleep(0)  # the claim goes out before we listen again
            except BuslogError as error:
                log.warning("listen: %s; the poll goes on", error)
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311  (jitter)

    async def _enter(self) -> None:
        hosts = list(self._hosted)
        self._id = await self._store.enter(self.name, self._settings.version, hosts, self._settings.lease)
        self._beat = Beat(self._dsn, self._id, hosts, self._settings.lease, self._enter_anew)
        self._beat.start()

    def _enter_anew(self) -> None:
        """Retired meanwhile: what runs is no longer ours to settle, new claims need a new id."""
        self._id = None
        if self._in_flight.closing:
            return
        log.warning("lease lost; entering anew")
        self._loops.append(asyncio.create_task(surviving(self._enter), name="buslog-enter"))

    def _tell_hosts(self) -> None:
        self._fan_outs.clear()
        if self._beat is not None:
            self._beat.hosts = list(self._hosted)

    async def _leave(self, *, abandoned: bool) -> None:
        if self._beat is not None:
            await asyncio.to_thread(self._beat.stop)
        if abandoned or self._id is None:
            return
        try:
            async with asyncio.timeout(max(1.0, self._settings.grace)):
                unheard = [c for c in await self._store.held(self._id) if c.fence not in self._in_flight.fences]
                release = [Settlement(c.message_id, c.subscription_id, c.fence, RELEASED) for c in unheard]
                if release:
                    await self._store.settle(release, self.name, self._settings.version)
                await self._store.leave(self._id)
        except (BuslogError, TimeoutError) as error:
            log.warning("leaving: %s; the lease will run out", error or "the database does not answer")
