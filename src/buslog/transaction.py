"""A subscriber's own transaction: what it writes and its delivery's settle commit together, or not at all."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from types import TracebackType
from typing import Any

from buslog import db
from buslog.errors import OutcomeUnknown, StaleDelivery
from buslog.execution import SUCCEEDED, Claimed
from buslog.loops import current_loop
from buslog.store import Settlement, settle_values

BegunAsync = tuple[db.AsyncConnection, AbstractAsyncContextManager[object]]
Begun = tuple[db.Connection, AbstractContextManager[object]]


class Transactions:
    """Makes the transactions of one worker's subscribers. Its connections are opened when the first asks for one."""

    def __init__(self, dsn: str, size: int, worker: str, code_version: str) -> None:
        self._dsn = dsn
        self._size = size
        self._worker = worker
        self._code_version = code_version
        self._loop = asyncio.get_running_loop()
        self._pool: db.Pool | None = None
        self._making = threading.Lock()  # plain functions ask in threads
        self._sync_pool: db.SyncPool | None = None

    def make(self, claimed: Claimed, settled: Callable[[], None]) -> Transaction:
        """The transaction of one attempt; `settled` is called once it has committed."""
        done = Settlement(claimed.message_id, claimed.subscription_id, claimed.fence, SUCCEEDED)
        return Transaction(self, settle_values([done], self._worker, self._code_version), settled)

    def is_here(self) -> bool:
        """Whether the caller is in the bus's event loop."""
        return current_loop() is self._loop

    async def begin(self) -> BegunAsync:
        """A connection, and the driver's transaction that was begun on it. One that died while nobody used it, as all
        do when the server is restarted, is not given: a subscriber would be charged for it.
        """
        for left in range(self._size, -1, -1):
            connection = await self._take()
            begun = connection.transaction()
            try:
                await begun.__aenter__()
            except BaseException as error:
                await self.give_back(connection)
                if not (left and connection.closed and isinstance(error, Exception)):
                    raise
            else:
                return connection, begun
        raise AssertionError("the last time returns or raises")

    def begin_sync(self) -> Begun:
        """The same for plain functions."""
        for left in range(self._size, -1, -1):
            connection = self._take_sync()
            begun = connection.transaction()
            try:
                begun.__enter__()
            except BaseException as error:
                self.give_back_sync(connection)
                if not (left and connection.closed and isinstance(error, Exception)):
                    raise
            else:
                return connection, begun
        raise AssertionError("the last time returns or raises")

    async def _take(self) -> db.AsyncConnection:
        if not self.is_here():
            raise TypeError("a transaction belongs to the bus's event loop; in a plain function, write `with`")
        with db.translated(self._dsn):
            if self._pool is None:
                self._pool = db.Pool(self._dsn, self._size, lent=True)
                await self._pool.open()
            return await self._pool.getconn()

    async def give_back(self, connection: db.AsyncConnection) -> None:
        assert self._pool is not None
        await self._pool.putconn(connection)

    def _take_sync(self) -> db.Connection:
        with db.translated(self._dsn):
            with self._making:
                if self._sync_pool is None:
                    self._sync_pool = db.make_sync_pool(self._dsn, self._size)
            return self._sync_pool.getconn()

    def give_back_sync(self, connection: db.Connection) -> None:
        assert self._sync_pool is not None
        self._sync_pool.putconn(connection)

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()
        if self._sync_pool is not None:
            await asyncio.to_thread(self._sync_pool.close, 1.0)


class Transaction:
    """`async with` gives a psycopg AsyncConnection, `with` (in a plain function) a Connection, in a transaction.

    At the end of the block the delivery is settled as succeeded in the same transaction, and both commit; when the
    block raises, both roll back. The settle comes last, so that no lock of ours is held while the block runs. Leaving
    the block raises `StaleDelivery`, and nothing was written, where the delivery was cancelled or rescued meanwhile.

    It is one of the driver's own: a `transaction()` inside it is a savepoint, and the driver refuses to commit there.
    """

    def __init__(self, transactions: Transactions, values: tuple[object, ...], settled: Callable[[], None]) -> None:
        self._transactions = transactions
        self._values = values
        self._settled = settled
        self._async: BegunAsync | None = None
        self._sync: Begun | None = None

    async def __aenter__(self) -> db.AsyncConnection:
        self._async = await self._transactions.begin()
        return self._async[0]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._async is not None
        connection, begun = self._async
        try:
            if error is not None:
                await begun.__aexit__(kind, error, trace)
                return
            with _committing():
                async with AsyncExitStack() as ending:
                    ending.push_async_exit(begun)
                    cursor = await db.plain_cursor(connection).execute(db.query("settle"), self._values)
                    if not _accepted(await cursor.fetchone()):
                        raise _stale()
                db.check_alive(connection)
            self._settled()
        finally:
            await self._transactions.give_back(connection)

    def __enter__(self) -> db.Connection:
        # What waits for a lock here would hold up the coroutine that holds it.
        if self._transactions.is_here():
            raise TypeError("in a coroutine, write `async with message.transaction()`")
        self._sync = self._transactions.begin_sync()
        return self._sync[0]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._sync is not None
        connection, begun = self._sync
        try:
            if error is not None:
                begun.__exit__(kind, error, trace)
                return
            with _committing():
                with ExitStack() as ending:
                    ending.push(begun)
                    if not _accepted(db.plain_cursor(connection).execute(db.query("settle"), self._values).fetchone()):
                        raise _stale()
                db.check_alive(connection)
            self._settled()
        finally:
            self._transactions.give_back_sync(connection)


@contextmanager
def _committing() -> Iterator[None]:
    try:
        with db.translated(committing=True):
            yield
    except OutcomeUnknown as error:
        mend = "Let the error pass: what did commit is settled and will not run again; what did not is retried."
        raise error.recast(OutcomeUnknown, field="transaction", mend=mend) from None


def _accepted(row: tuple[Any, ...] | None) -> bool:
    """Whether settle took the outcome, by its answer."""
    return row is not None and bool(row[0])


def _stale() -> StaleDelivery:
    return StaleDelivery(
        field="transaction", rule="belongs to a delivery that is still this worker's",
        was="the delivery was cancelled, or taken over by another worker",
        mend="Nothing was written. Let the error pass.",
    )  # fmt: skip
