"""What a started bus has, from its start to its stop: how an emit is put and resolved, and what becomes of a change of
subscriptions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from buslog import db
from buslog.config import Settings
from buslog.emission import Emission, Letter
from buslog.errors import BusNotStarted, InvalidSubscription
from buslog.event import Event
from buslog.follow import Follower, Stream
from buslog.loops import current_loop
from buslog.message import Emitted
from buslog.notifier import Notifier
from buslog.outbox import Outbox
from buslog.resolution import Resolution
from buslog.store import Said, Store
from buslog.subscription import Registry, Subscription
from buslog.worker import Worker

log = logging.getLogger("buslog")

MARGIN = 5.0  # seconds beyond the grace period that a stop waits for the database


@dataclass(eq=False)
class Running:
    """A bus that has been started. Made by `start_running`, in the event loop that it belongs to."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    registry: Registry
    database: db.Database
    store: Store
    outbox: Outbox
    worker: Worker | None
    follower: Follower
    numbers: dict[str, int]  # of the subscriptions, by id
    resolution: Resolution
    ended: bool = False

    async def stop(self) -> None:
        """Send what was emitted, let running subscribers finish within the grace period, release the rest, leave."""
        self.outbox.closing = True
        await self.outbox.drain(self.settings.grace + MARGIN)
        if self.worker is not None:
            await self.worker.stop()
        # From here on emits are refused, and nobody waits for another process's subscribers.
        self.ended = self.resolution.ended = True
        await self.outbox.drain(MARGIN)
        await self.resolution.drain(MARGIN)
        await self.follower.stop(MARGIN)
        await _close(self.database, self.store)

    # ── emit ────────────────────────────────────────────────────────────────────

    def put(self, said: Said) -> Emission[Emitted]:
        """Send a message, from any thread. Raises `BusNotStarted`."""
        is_here = self.is_here()
        emission: Emission[Emitted] = Emission(said.name, from_thread=not is_here)
        self._post(Letter.of_one(said, emission), is_here)
        return emission

    def put_many(self, said: Sequence[Said]) -> Emission[list[Emitted]]:
        """Send messages in one commit, all or none, from any thread. Raises `BusNotStarted`."""
        name = said[0].name if said else "nothing"
        is_here = self.is_here()
        emission: Emission[list[Emitted]] = Emission(name, from_thread=not is_here)
        if said:
            self._post(Letter.of_many(said, emission), is_here)
        else:
            emission.resolve([])
        return emission

    def _post(self, letter: Letter, is_here: bool) -> None:
        if self.ended:
            raise not_started()
        if is_here:
            self.outbox.put(letter)
        else:
            try:
                self.loop.call_soon_threadsafe(self._post_from_thread, letter)
            except RuntimeError:  # the loop was closed without a stop
                raise not_started() from None

    def _post_from_thread(self, letter: Letter) -> None:
        if self.ended:
            letter.refuse(not_started())
        else:
            self.outbox.put(letter)

    # ── follow ──────────────────────────────────────────────────────────────────

    def follow(self, names: str | Event[Any] | Sequence[str | Event[Any]]) -> Stream[Any]:
        """A stream of what is said after this call. Raises `BusNotStarted`; TypeError outside the bus's event loop."""
        if self.ended:
            raise not_started()
        if not self.is_here():
            raise TypeError("events and once belong to the event loop that the bus was started in")
        stream = self.follower.add(names)
        self.outbox.change(lambda: self.follower.open(stream))
        return stream

    def end_streams(self, names: Collection[str] | None) -> None:
        """End those that follow one of these names; of None, all."""
        self._in_loop(lambda: self.follower.end(names))

    # ── subscriptions, in their place among the emits ───────────────────────────

    def register(self, subscription: Subscription, refused: Callable[[], None]) -> None:
        """A subscriber added while the bus runs counts for the emits after it. `refused` is called when the database
        does not take it; the reason is logged.
        """

        async def change() -> None:
            try:
                number = await self.store.register(subscription, self.settings.version)
            except InvalidSubscription:
                refused()
                raise
            self.numbers[subscription.id] = number
            current = self.registry.get(subscription.id)
            if self.worker is not None and current is not None:
                self.worker.host(number, current)

        self._in_loop(lambda: self.outbox.change(change))

    def unregister(self, subscription: str, names: Sequence[str]) -> None:
        """Names taken away from a subscription; of one that has none left this process starts nothing more."""

        def change() -> None:
            if self.worker is not None and self.registry.get(subscription) is None and subscription in self.numbers:
                self.worker.unhost(self.numbers[subscription])
            self.outbox.change(lambda: self.store.unregister(subscription, names))

        self._in_loop(change)

    def is_here(self) -> bool:
        """Whether the caller is in this bus's event loop."""
        return current_loop() is self.loop

    def _in_loop(self, step: Callable[[], None]) -> None:
        """Now, in the bus's loop; from a thread in its place among that thread's emits, which take the same way."""
        if self.is_here():
            step()
        else:
            self.loop.call_soon_threadsafe(step)


async def start_running(settings: Settings, registry: Registry, *, host: bool) -> Running:
    """Connect, register the subscribers, and begin to run them if `host`. Raises what `Bus.start` does."""
    database = await asyncio.to_thread(db.Database, settings, log.info)
    store: Store | None = None
    worker: Worker | None = None
    numbers: dict[str, int] = {}
    try:
        await asyncio.to_thread(database.prepare)
        store = Store(database.dsn)
        await store.open()
        if settings.key_field:
            await store.set_key_field(settings.key_field)
        if settings.mask_fields is not None:
            await store.set_mask_fields(settings.mask_fields)
        if settings.ref_fields is not None and await store.set_ref_fields(settings.ref_fields):
            log.info("refs are kept from now on; `buslog refs backfill` finds those of older messages")
        for subscription in registry:
            numbers[subscription.id] = await store.register(subscription, settings.version)
        notifier = Notifier(store)
        if host:
            worker = Worker(database.dsn, store, notifier, settings)
            await worker.start({numbers[subscription.id]: subscription for subscription in registry})
    except BaseException:
        await _close(database, store)
        raise
    loop = asyncio.get_running_loop()
    follower = Follower(database.dsn, store, settings.poll)
    resolution = Resolution(store, settings.sync_wait)
    outbox = Outbox(store, worker, notifier, resolution, follower.wake)
    return Running(loop, settings, registry, database, store, outbox, worker, follower, numbers, resolution)


async def _close(database: db.Database, store: Store | None) -> None:
    if store is not None:
        await store.close()
    await asyncio.to_thread(database.close)


def not_started() -> BusNotStarted:
    """What an emit on a bus that does not run raises."""
    return BusNotStarted(
        field="bus", rule="is started before it emits",
        mend="Emit inside `async with bus` or `with bus`; a forked process starts it anew.",
    )  # fmt: skip
