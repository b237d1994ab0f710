"""What a started bus has, from its start to its stop: how an emit is put and resolved, and what becomes of a change of
subscriptions.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from buslog import db
from buslog.config import Settings
from buslog.emission import SubscriberFailed
from buslog.errors import (
    BuslogError,
    BusNotStarted,
    DatabaseUnavailable,
    InvalidSubscription,
    StillPending,
    SubscribersFailed,
)
from buslog.event import Event
from buslog.follow import Follower, Stream
from buslog.message import Emitted, State
from buslog.notifier import Notifier
from buslog.outbox import Outbox, Receipt
from buslog.store import Said, Store
from buslog.subscription import Registry, Subscription
from buslog.worker import Worker

log = logging.getLogger("buslog")


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
    ended: bool = False
    _emissions: set[asyncio.Task[Emitted]] = field(default_factory=set)

    async def stop(self) -> None:
        """Send what was emitted, let running subscribers finish within the grace period, release the rest, leave."""
        await self.outbox.drain()
        if self.worker is not None:
            await self.worker.stop()
        self.ended = True  # from here on emits are refused, and nobody waits for another process's subscribers
        await self.outbox.drain()
        await asyncio.gather(*self._emissions, return_exceptions=True)
        await self.follower.stop()
        await _close(self.database, self.store)

    # ── emit ────────────────────────────────────────────────────────────────────

    def put(self, said: Said) -> asyncio.Future[Emitted] | Future[Emitted]:
        """Send a message, from any thread. Raises `BusNotStarted`; the future raises what an `Emission` does."""
        if self.ended:
            raise not_started()
        if self.is_here():
            return self._resolution(said)
        return asyncio.run_coroutine_threadsafe(self._put_from_thread(said), self.loop)

    async def _put_from_thread(self, said: Said) -> Emitted:
        try:
            if self.ended:
                raise not_started()
            return await self._resolution(said)
        except BuslogError as error:
            log.warning("%s, emitted in a thread: %s", said.name, error)  # perhaps nobody asks for its result
            raise

    def _resolution(self, said: Said) -> asyncio.Task[Emitted]:
        task = asyncio.create_task(self._resolve(self.outbox.put(said)))
        self._emissions.add(task)
        task.add_done_callback(self._emissions.discard)
        return task

    async def _resolve(self, receipt: asyncio.Future[Receipt]) -> Emitted:
        stored, sync = (done := await receipt).stored, done.sync
        self.follower.wake()
        outcomes = [await waiter for waiter in sync.values()]
        errors = [outcome.exception for outcome in outcomes if outcome.exception is not None]
        if any(outcome.state is State.PENDING for outcome in outcomes):
            errors.append(_still_pending(stored.message_id))
        if stored.awaited:
            errors += await self._await_elsewhere(stored.message_id, stored.awaited)
        if errors:
            raise SubscribersFailed(stored.message_id, errors)
        return Emitted(stored.message_id, stored.routed, stored.duplicate)

    async def _await_elsewhere(self, message_id: UUID, subscriptions: Sequence[int]) -> list[Exception]:
        """Sync subscribers that another process hosts: their first outcome, looked for until the deadline."""
        give_up_at = time.monotonic() + self.settings.sync_wait
        pause = 0.01
        while True:
            try:
                found = await self.store.outcomes_of(message_id, subscriptions)
            except DatabaseUnavailable:
                found = {}  # the message is stored: whoever waits must not hear that it is not
            errors: list[Exception] = [
                SubscriberFailed(
                    field="sync subscriber", rule="succeeds", was=f"{error_type}: {error}",
                    mend="It is retried in the background.",
                )
                for state, error_type, error in found.values()
                if error_type is not None or state is State.CANCELLED
            ]  # fmt: skip
            if len(errors) + sum(state is State.SUCCEEDED for state, _, _ in found.values()) >= len(subscriptions):
                return errors
            if time.monotonic() >= give_up_at or self.ended:
                return [*errors, _still_pending(message_id)]
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

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
            return

        async def later() -> None:
            step()

        asyncio.run_coroutine_threadsafe(later(), self.loop)


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
    return Running(
        loop, settings, registry, database, store, Outbox(store, worker, notifier), worker, follower, numbers
    )


async def _close(database: db.Database, store: Store | None) -> None:
    if store is not None:
        await store.close()
    await asyncio.to_thread(database.close)


def current_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that the caller runs in; None in a plain thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def not_started() -> BusNotStarted:
    """What an emit on a bus that does not run raises."""
    return BusNotStarted(
        field="bus", rule="is started before it emits",
        mend="Emit inside `async with bus` or `with bus`; a forked process starts it anew.",
    )  # fmt: skip


def _still_pending(message_id: UUID) -> StillPending:
    return StillPending(
        field="sync subscriber", rule="has ended within the deadline", was=f"message {message_id} is still pending",
        mend="It goes on in the background.",
    )  # fmt: skip
