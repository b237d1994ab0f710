"""The public face of the core: start and stop, emit; on, off and command are `subscribing`'s."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, Unpack, cast, overload

from buslog.background import LoopThread, end_with_program, forget_after_fork
from buslog.config import Settings, settings
from buslog.emission import Emission, EmitOptions, make_said, one_commit
from buslog.errors import Misconfigured
from buslog.event import Event, name_of
from buslog.follow import Stream
from buslog.loops import current_loop
from buslog.message import Emitted, Record
from buslog.running import Running, not_started, start_running
from buslog.store import Said, Store
from buslog.subscribing import Subscribing
from buslog.subscription import Subscription
from buslog.within import Executes, ExecutesAsync, emit_async, emit_sync, is_async
from buslog.worker import Worker

P = TypeVar("P")


class Bus(Subscribing):
    """An event bus whose messages are stored in PostgreSQL before anyone reacts.

    `async with bus` registers its subscribers and hosts them: this process runs their deliveries, also those that
    other processes emitted. `with bus` does the same for a program without an event loop, in a thread.
    `Bus(host=False)` only emits. The database is `BUSLOG_DSN`, or an embedded PostgreSQL.

    debug: log each subscribe, unsubscribe and emit of this bus, to the logger `buslog.debug` or to one of your own.
    """

    def __init__(
        self, *, host: bool = True, settings: Settings | None = None, debug: bool | logging.Logger = False
    ) -> None:
        super().__init__(logging.getLogger("buslog.debug") if debug is True else debug or None)
        self._host = host
        self._settings = settings
        self._running: Running | None = None
        self._thread: LoopThread | None = None
        self._starting = threading.Lock()

    # ── emit ────────────────────────────────────────────────────────────────────

    @overload
    def emit(self, name: Event[P], payload: P, **options: Unpack[EmitOptions]) -> Emission[Emitted]: ...

    @overload
    def emit(
        self, name: str, payload: Mapping[str, Any] | Any = None, **options: Unpack[EmitOptions]
    ) -> Emission[Emitted]: ...

    def emit(self, name: str | Event[Any], payload: Any = None, **options: Unpack[EmitOptions]) -> Emission[Emitted]:
        """Say something. Already under way when this returns; awaiting it means: committed, and resolved by the sync
        subscribers. A message emitted while a subscriber runs is caused by the one being handled.

        payload: a JSON object, or an instance of the declared type of the event or command, which checks it. options:
        see `EmitOptions`; for a message that is due later nobody waits, sync or not. Callable from the bus's event
        loop, from others, and from plain threads, which ask for its `result()`.

        Raises at once `InvalidMessage` and `BusNotStarted`. Awaiting raises `InvalidMessage` for what only the database
        sees, `SubscribersFailed` (an ExceptionGroup: the message is stored and what failed is retried; for who has not
        ended within `BUSLOG_SYNC_WAIT` it holds `StillPending`), `DatabaseUnavailable`, `OutcomeUnknown`. What nobody
        awaits is logged.
        """
        running = self._started()
        return running.put(self._said("emit", name, payload, options))

    @overload
    def emit_many(self, name: Event[P], payloads: Iterable[P]) -> Emission[list[Emitted]]: ...

    @overload
    def emit_many(self, name: str, payloads: Iterable[Mapping[str, Any] | Any]) -> Emission[list[Emitted]]: ...

    def emit_many(self, name: str | Event[Any], payloads: Iterable[Any]) -> Emission[list[Emitted]]:
        """Say many things of one name in one commit, all or none, in the order given. Otherwise like `emit`, with each
        message's key taken from its payload; awaiting it gives one `Emitted` a message. Where the sync subscribers of
        several messages raise, their `SubscribersFailed` come in one ExceptionGroup.

        At most 10,000 messages and 8 MB in all. Raises `InvalidMessage`, and then nothing of it is stored.
        """
        running = self._started()
        return running.put_many(one_commit([self._said("emit", name, one, {}) for one in payloads]))

    @overload
    def emit_within(
        self, connection: ExecutesAsync, name: Event[P], payload: P, **options: Unpack[EmitOptions]
    ) -> Coroutine[Any, Any, Emitted]: ...

    @overload
    def emit_within(
        self,
        connection: ExecutesAsync,
        name: str,
        payload: Mapping[str, Any] | Any = ...,
        **options: Unpack[EmitOptions],
    ) -> Coroutine[Any, Any, Emitted]: ...

    @overload
    def emit_within(
        self, connection: Executes, name: Event[P], payload: P, **options: Unpack[EmitOptions]
    ) -> Emitted: ...

    @overload
    def emit_within(
        self, connection: Executes, name: str, payload: Mapping[str, Any] | Any = ..., **options: Unpack[EmitOptions]
    ) -> Emitted: ...

    def emit_within(
        self,
        connection: Executes | ExecutesAsync,
        name: str | Event[Any],
        payload: Any = None,
        **options: Unpack[EmitOptions],
    ) -> Emitted | Coroutine[Any, Any, Emitted]:
        """Say something in your own transaction: it commits and rolls back with what you write beside it.

        connection: psycopg's Connection or AsyncConnection; SQLAlchemy's Connection, Session, AsyncConnection or
        AsyncSession, on the database of this bus. With an async one, await it. The bus need not be started. Workers
        notice the commit within their poll. The other arguments are `emit`'s. Raises `InvalidMessage`, also for a name
        with sync subscribers: they would wait for the commit, and the commit for them. Raises `DatabaseUnavailable`:
        your transaction is rolled back; on a psycopg connection in autocommit, `OutcomeUnknown` where it breaks.
        """
        said = self._said("emit within a transaction", name, payload, options)
        if is_async(connection):
            return emit_async(cast("ExecutesAsync", connection), said)
        return emit_sync(cast("Executes", connection), said)

    def _said(self, how: str, name: str | Event[Any], payload: Any, options: EmitOptions) -> Said:
        said = make_said(self._registry, name, payload, **options)
        if self._debug:
            self._debug.info("%s: %s", how, name_of(name))
        return said

    # ── follow ──────────────────────────────────────────────────────────────────

    @overload
    def events(self, names: Event[P] | Sequence[Event[P]]) -> Stream[P]: ...

    @overload
    def events(self, names: str | Sequence[str] = ...) -> Stream[dict[str, Any]]: ...

    @overload
    def events(self, names: Sequence[str | Event[Any]]) -> Stream[Any]: ...

    def events(self, names: str | Event[Any] | Sequence[str | Event[Any]] = "*") -> Stream[Any]:
        """Follow the log: `async for record in bus.events("shipment*"):` gives what any process says after this call,
        in the order in which it becomes visible; of other processes, what they say after its first look at the log,
        some milliseconds later. Nothing is delivered, retried or kept for who is not there.

        names: as in `on`; a pattern reaches events alone, a name in full also its command. See `Stream` for how it
        ends. What other processes say comes within `BUSLOG_POLL`. Call it in the bus's event loop. Raises
        `BusNotStarted`, `InvalidSubscription`.
        """
        return self._started().follow(names)

    @overload
    def once(
        self, names: Event[P] | Sequence[Event[P]], predicate: Callable[[Record[P]], object] | None = ...,
        timeout: float | None = ...,
    ) -> asyncio.Task[Record[P]]: ...  # fmt: skip

    @overload
    def once(
        self, names: str | Sequence[str], predicate: Callable[[Record[dict[str, Any]]], object] | None = ...,
        timeout: float | None = ...,
    ) -> asyncio.Task[Record[dict[str, Any]]]: ...  # fmt: skip

    @overload
    def once(
        self, names: Sequence[str | Event[Any]], predicate: Callable[[Record[Any]], object] | None = ...,
        timeout: float | None = ...,
    ) -> asyncio.Task[Record[Any]]: ...  # fmt: skip

    def once(
        self,
        names: str | Event[Any] | Sequence[str | Event[Any]],
        predicate: Callable[[Record[Any]], object] | None = None,
        timeout: float | None = None,
    ) -> asyncio.Task[Record[Any]]:
        """Wait for the first message that is said after this call and fulfils the predicate. It waits from the call
        on, awaited or not; `cancel()` takes it off.

        names: as in `events`. timeout: seconds. Raises what `events` does; awaiting raises TimeoutError, what the
        predicate raises, and `StreamEnded` when `clear` or a stop of the bus comes first.
        """
        running = self._started()
        return running.follower.first(running.follow(names), predicate, timeout)

    # ── start and stop ──────────────────────────────────────────────────────────

    @property
    def database(self) -> str:
        """Which database this bus uses, for people."""
        return str(self._running.database) if self._running else "not started"

    @property
    def dsn(self) -> str | None:
        """How this bus reaches its database, password included; None: not started."""
        return self._running.database.dsn if self._running else None

    async def start(self) -> None:
        """Connect, register the subscribers, and begin to run them (unless `host=False`).

        Raises `Misconfigured` (settings, schema, or it has been started), `DatabaseUnavailable`, `InvalidSubscription`.
        """
        self._check_not_started()
        self._running = await start_running(self._chosen, self._registry, host=self._host)
        forget_after_fork(self)

    async def stop(self) -> None:
        """Send what was emitted, let running subscribers finish within the grace period, release the rest, leave."""
        if self._running is not None:
            try:
                await self._running.stop()
            finally:
                self._running = None

    async def __aenter__(self) -> Bus:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    # ── in a program without an event loop ──────────────────────────────────────

    def start_in_thread(self) -> None:
        """Start in an event loop of the bus's own, in a thread; does nothing when it has been started. Callable from
        any thread, such as that of the first request of a WSGI server. Call it after a fork, in each process: a bus
        that was started before it must be started anew. When the program ends the bus is stopped. Raises like `start`.
        """
        with self._starting:
            if self._running is not None:
                return
            thread = LoopThread()
            try:
                thread.call(self.start())
            except BaseException:
                thread.end()
                raise
            self._thread = thread
            end_with_program()

    def stop_in_thread(self) -> None:
        """Stop what `start_in_thread` started, as `stop` does. TypeError in the bus's own event loop, which would wait
        for itself.
        """
        if self._running is not None and self._running.is_here():
            raise TypeError("in the bus's own event loop, nobody can wait for its end")
        with self._starting:
            thread, self._thread = self._thread, None
            if thread is not None:
                try:
                    thread.call(self.stop())
                finally:
                    thread.end()

    def __enter__(self) -> Bus:
        if current_loop() is not None:
            raise TypeError("in an event loop, write `async with bus`")
        self._check_not_started()
        self.start_in_thread()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_in_thread()

    def forget_parent(self) -> None:
        """Called in a forked process by `background`: not started here, whatever the parent has."""
        if self._running is not None:
            self._running.database.forget_parent()
        # Kept, not dropped: closing it would shut the parent's connections and event loop.
        _LEFT_TO_PARENT.append((self._running, self._thread))
        self._running = self._thread = None
        self._starting = threading.Lock()

    # ── subscriptions, in memory and in the database ────────────────────────────

    @property
    def _chosen(self) -> Settings:
        return self._settings or settings()

    def _check_not_started(self) -> None:
        if self._running is not None:
            raise Misconfigured(field="bus", rule="is started once", mend="Stop it first, or use it as it is.")

    def _started(self) -> Running:
        if self._running is None:
            raise not_started()
        return self._running

    @property
    def _started_store(self) -> Store:
        return self._started().store

    @property
    def _worker(self) -> Worker | None:
        return self._running.worker if self._running else None

    def _register_soon(self, subscription: Subscription, added: tuple[str, ...]) -> None:
        if self._running is not None:
            self._running.register(subscription, lambda: self._remove(subscription.id, added))

    def _unregister_soon(self, old: Subscription, names: tuple[str, ...]) -> None:
        if self._running is not None:
            self._running.unregister(old.id, names)

    def _end_streams(self, names: Collection[str] | None) -> None:
        if self._running is not None:
            self._running.end_streams(names)


_LEFT_TO_PARENT: list[object] = []
