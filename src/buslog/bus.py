"""The public face of the core: on, off, command, emit."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar, Unpack, cast, overload
from uuid import UUID

from buslog import db
from buslog.config import Settings, settings
from buslog.emission import Emission, SubscriberFailed, make_said
from buslog.errors import BusNotStarted, DatabaseUnavailable, StillPending, SubscribersFailed
from buslog.message import Emitted, Kind, Message, State
from buslog.notifier import Notifier
from buslog.outbox import Outbox, Receipt
from buslog.store import Said, Store
from buslog.subscription import CommandOptions, Options, Registry, Subscriber, Subscription, make_subscription
from buslog.within import Executes, ExecutesAsync, emit_async, emit_sync, is_async
from buslog.worker import Worker

log = logging.getLogger("buslog")

SubscriberT = TypeVar("SubscriberT", bound=Callable[[Message[Any]], Any])


class Bus:
    """An event bus whose messages are stored in PostgreSQL before anyone reacts.

    `async with bus` registers its subscribers and hosts them: this process runs their deliveries, also those that
    other processes emitted. `Bus(host=False)` only emits. The database is `BUSLOG_DSN`, or an embedded PostgreSQL.
    """

    def __init__(self, *, host: bool = True, settings: Settings | None = None) -> None:
        self._host = host
        self._settings = settings
        self._registry = Registry()
        self._numbers: dict[str, int] = {}
        self._database: db.Database | None = None
        self._store: Store | None = None
        self._worker: Worker | None = None
        self._outbox: Outbox | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._emissions: set[asyncio.Task[Emitted]] = set()

    # ── subscribe ───────────────────────────────────────────────────────────────

    @overload
    def on(
        self, names: str | Sequence[str], subscriber: Subscriber, **options: Unpack[Options]
    ) -> Callable[[], None]: ...

    @overload
    def on(self, names: str | Sequence[str], **options: Unpack[Options]) -> Callable[[SubscriberT], SubscriberT]: ...

    def on(
        self, names: str | Sequence[str], subscriber: Subscriber | None = None, **options: Unpack[Options]
    ) -> Callable[[], None] | Callable[[SubscriberT], SubscriberT]:
        """React to events. As a decorator returns the function; called with a subscriber returns its `off`.

        names: one or several; a `*` stands for any characters, so `"*"` is every event, and such a subscriber starts
        after those that name theirs. Commands are not events: no pattern reaches them.
        options: see `Options`. Raises `InvalidSubscription`; TypeError for a subscriber that cannot be called.
        """

        def subscribe(function: Subscriber) -> Callable[[], None]:
            new = make_subscription(names, function, Kind.EVENT, **options)
            self._add(new)
            return lambda: self.off(new.names, function)

        if subscriber is not None:
            return subscribe(subscriber)
        return _decorator(subscribe)

    def command(self, name: str, **options: Unpack[CommandOptions]) -> Callable[[SubscriberT], SubscriberT]:
        """Carry out a command: it has exactly one subscriber, and a form on the dashboard made from `payload`.

        options: see `CommandOptions`. Raises `InvalidSubscription`.
        """
        return _decorator(lambda function: self._add(make_subscription(name, function, Kind.COMMAND, **options)))

    def off(self, names: str | Sequence[str], subscriber: Subscriber) -> None:
        """Take a subscriber off the bus, for every process: messages emitted from now on do not reach it, and this
        process starts no more of its deliveries. What it was already sent waits until somebody hosts it again.
        Does nothing for an unknown subscriber.
        """
        gone = (names,) if isinstance(names, str) else tuple(names)
        old = self._registry.remove(gone, subscriber)
        if old is None or self._outbox is None:
            return
        still_hosted = self._registry.get(old.id) is not None
        if self._worker is not None and not still_hosted:
            self._worker.unhost(self._numbers[old.id])
        store = self._started_store
        self._outbox.change(lambda: store.unregister(old.id, gone))

    # ── emit ────────────────────────────────────────────────────────────────────

    def emit(
        self,
        name: str,
        payload: Mapping[str, Any] | Any = None,
        *,
        key: str | None = None,
        after: float | timedelta | None = None,
        at: datetime | None = None,
        dedupe_key: str | None = None,
        dedupe_window: float | timedelta = timedelta(days=1),
    ) -> Emission:
        """Say something. Already under way when this returns; awaiting it means: committed, and resolved by the sync
        subscribers. A message emitted while a subscriber runs is caused by the one being handled.

        payload: a JSON object, or an instance of the command's declared type. key: by default the payload's
        `shipmentId` (`BUSLOG_KEY_FIELD`). after, at: its deliveries are scheduled for so many seconds later by the
        database's clock, or for a moment with an offset; nobody waits for them, sync or not. dedupe_key: an emit with
        one that is in use, for `dedupe_window` (seconds) from its first emit on, stores nothing and returns the first
        message's id as a `duplicate`, so that an emit whose outcome is unknown can be repeated. Callable from the bus's
        event loop and from plain threads.

        Raises at once `InvalidMessage` and `BusNotStarted`. Awaiting raises `SubscribersFailed` (an ExceptionGroup: the
        message is stored and what failed is retried), `StillPending`, `DatabaseUnavailable`, `OutcomeUnknown`.
        """
        loop = self._loop
        if loop is None or self._outbox is None:
            raise BusNotStarted(field="bus", rule="is started before it emits", mend="Emit inside `async with bus:`.")
        said = make_said(
            self._registry,
            name,
            payload,
            key=key,
            after=after,
            at=at,
            dedupe_key=dedupe_key,
            dedupe_window=dedupe_window,
        )  # fmt: skip
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is loop:
            return Emission(self._track(self._resolve(self._outbox.put(said))))
        return Emission(asyncio.run_coroutine_threadsafe(self._put_and_resolve(said), loop))

    @overload
    def emit_within(
        self, connection: ExecutesAsync, name: str, payload: Mapping[str, Any] | Any = ..., *, key: str | None = ...,
        after: float | timedelta | None = ..., at: datetime | None = ..., dedupe_key: str | None = ...,
        dedupe_window: float | timedelta = ...,
    ) -> Coroutine[Any, Any, Emitted]: ...  # fmt: skip

    @overload
    def emit_within(
        self, connection: Executes, name: str, payload: Mapping[str, Any] | Any = ..., *, key: str | None = ...,
        after: float | timedelta | None = ..., at: datetime | None = ..., dedupe_key: str | None = ...,
        dedupe_window: float | timedelta = ...,
    ) -> Emitted: ...  # fmt: skip

    def emit_within(
        self,
        connection: Executes | ExecutesAsync,
        name: str,
        payload: Mapping[str, Any] | Any = None,
        *,
        key: str | None = None,
        after: float | timedelta | None = None,
        at: datetime | None = None,
        dedupe_key: str | None = None,
        dedupe_window: float | timedelta = timedelta(days=1),
    ) -> Emitted | Coroutine[Any, Any, Emitted]:
        """Say something in your own transaction: it commits and rolls back with what you write beside it.

        connection: psycopg's Connection or AsyncConnection; SQLAlchemy's Connection, Session, AsyncConnection or
        AsyncSession, on the database of this bus. With an async one, await it. The bus need not be started. Workers
        notice the commit within their poll. The other arguments are `emit`'s. Raises `InvalidMessage`, also for a name
        with sync subscribers: they would wait for the commit, and the commit for them.
        """
        said = make_said(
            self._registry,
            name,
            payload,
            key=key,
            after=after,
            at=at,
            dedupe_key=dedupe_key,
            dedupe_window=dedupe_window,
        )  # fmt: skip
        if is_async(connection):
            return emit_async(cast("ExecutesAsync", connection), said)
        return emit_sync(cast("Executes", connection), said)

    def _track(self, resolution: Coroutine[Any, Any, Emitted]) -> asyncio.Task[Emitted]:
        task = asyncio.create_task(resolution)
        self._emissions.add(task)
        task.add_done_callback(self._emissions.discard)
        return task

    async def _put_and_resolve(self, said: Said) -> Emitted:
        if self._outbox is None:
            raise BusNotStarted(field="bus", rule="is started before it emits", mend="Emit inside `async with bus:`.")
        return await self._track(self._resolve(self._outbox.put(said)))

    async def _resolve(self, receipt: asyncio.Future[Receipt]) -> Emitted:
        stored, sync = (done := await receipt).stored, done.sync
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
        give_up_at = time.monotonic() + self._chosen.sync_wait
        pause = 0.01
        while True:
            try:
                found = await self._started_store.outcomes_of(message_id, subscriptions)
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
            if time.monotonic() >= give_up_at or self._loop is None:
                return [*errors, _still_pending(message_id)]
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    # ── start and stop ──────────────────────────────────────────────────────────

    @property
    def database(self) -> str:
        """Which database this bus uses, for people."""
        return str(self._database) if self._database else "not started"

    async def start(self) -> None:
        """Connect, register the subscribers, and begin to run them (unless `host=False`).

        Raises `Misconfigured` (settings, schema), `DatabaseUnavailable`, `InvalidSubscription`.
        """
        self._database = await asyncio.to_thread(db.Database, self._chosen, log.info)
        try:
            await asyncio.to_thread(self._database.prepare)
            self._store = Store(self._database.dsn)
            await self._store.open()
            if self._chosen.key_field:
                await self._store.set_key_field(self._chosen.key_field)
            hosted = {await self._register(subscription): subscription for subscription in self._registry}
            notifier = Notifier(self._store)
            if self._host:
                self._worker = Worker(self._database.dsn, self._store, notifier, self._chosen)
                await self._worker.start(hosted)
        except BaseException:
            await self._close()
            raise
        self._outbox = Outbox(self._store, self._worker, notifier)
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """Send what was emitted, let running subscribers finish within the grace period, release the rest, leave."""
        if self._outbox is None:
            return
        await self._outbox.drain()
        if self._worker is not None:
            await self._worker.stop()
        self._loop = None  # from here on emits are refused, and nobody waits for another process's subscribers
        await self._outbox.drain()
        await asyncio.gather(*self._emissions, return_exceptions=True)
        self._outbox = None
        await self._close()

    async def __aenter__(self) -> Bus:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _close(self) -> None:
        if self._store is not None:
            await self._store.close()
        if self._database is not None:
            await asyncio.to_thread(self._database.close)
        self._store = self._worker = self._database = None

    # ── subscriptions, in memory and in the database ────────────────────────────

    @property
    def _chosen(self) -> Settings:
        return self._settings or settings()

    @property
    def _started_store(self) -> Store:
        assert self._store is not None
        return self._store

    def _add(self, new: Subscription) -> None:
        subscription = self._registry.add(new)
        if self._outbox is not None:
            self._outbox.change(lambda: self._register_late(subscription))

    async def _register(self, subscription: Subscription) -> int:
        number = await self._started_store.register(subscription, self._chosen.version)
        self._numbers[subscription.id] = number
        return number

    async def _register_late(self, subscription: Subscription) -> None:
        """A subscriber added while the bus runs counts for the emits after it."""
        number = await self._register(subscription)
        if self._worker is not None:
            self._worker.host(number, subscription)


def _still_pending(message_id: UUID) -> StillPending:
    return StillPending(
        field="sync subscriber", rule="has ended within the deadline", was=f"message {message_id} is still pending",
        mend="It goes on in the background.",
    )  # fmt: skip


def _decorator(subscribe: Callable[[Subscriber], object]) -> Callable[[SubscriberT], SubscriberT]:
    def decorate(function: SubscriberT) -> SubscriberT:
        subscribe(cast("Subscriber", function))
        return function

    return decorate
