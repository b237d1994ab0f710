"""message.transaction(): the subscriber's own writes and its settle commit together, or not at all."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import dict_row

from buslog import Bus, Fail, Message, RetryPolicy, db
from buslog.desk import Actor
from buslog.errors import BuslogError, OutcomeUnknown, StaleDelivery
from buslog.message import DeliveryRef
from buslog.operations import Operations
from tests.worker.conftest import QUICK, log_rows, until


@pytest.fixture(autouse=True)
def ledger(connection: db.Connection) -> None:
    connection.execute("CREATE TABLE ledger (entry text)")


def entries(connection: db.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT entry FROM ledger ORDER BY entry").fetchall()]


async def test_what_a_subscriber_writes_and_its_settle_commit_together(bus: Bus, connection: db.Connection) -> None:
    seen_inside: list[object] = []

    @bus.on("booked", id="ledger")
    async def book(message: Message) -> dict[str, int]:
        async with message.transaction() as own:
            await own.execute("INSERT INTO ledger VALUES ('one')")
            seen_inside.append((entries(connection), log_rows(connection, "state", "booked")))
        seen_inside.append((entries(connection), log_rows(connection, "state", "booked")))
        return {"entries": 1}

    async with bus:
        await bus.emit("booked")
        await until(lambda: len(seen_inside) == 2)
    assert seen_inside == [([], [("running",)]), (["one"], [("succeeded",)])]
    assert connection.execute("SELECT result FROM buslog.ended_deliveries").fetchall() == [({"entries": 1},)]
    assert connection.execute("SELECT count(*) FROM buslog.attempts").fetchone() == (0,)


async def test_a_block_that_raises_writes_nothing_and_is_retried(bus: Bus, connection: db.Connection) -> None:
    @bus.on("booked", id="ledger", retry=QUICK)
    async def book(message: Message) -> None:
        async with message.transaction() as own:
            await own.execute("INSERT INTO ledger VALUES (%s)", [f"attempt {message.attempt}"])
            if message.attempt < 3:
                raise ValueError("not yet")

    async with bus:
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "state", "booked") == [("succeeded",)])
    assert entries(connection) == ["attempt 3"]


async def test_a_transaction_of_the_driver_s_inside_the_block_does_not_commit_before_it(
    bus: Bus, connection: db.Connection
) -> None:
    """As of code that is shared with others, and brings a transaction of its own."""

    @bus.on("booked", id="coroutine", retry=QUICK)
    async def book(message: Message) -> None:
        async with message.transaction() as own:
            async with own.transaction():
                await own.execute("INSERT INTO ledger VALUES ('coroutine')")
            if message.attempt < 3:
                raise ValueError("not yet")

    @bus.on("booked", id="plain", retry=QUICK)
    def book_plain(message: Message) -> None:
        with message.transaction() as own:
            with own.transaction():
                own.execute("INSERT INTO ledger VALUES ('plain')")
            if message.attempt < 3:
                raise ValueError("not yet")

    async with bus:
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "state", "booked") == [("succeeded",)] * 2)
    assert entries(connection) == ["coroutine", "plain"]


@pytest.mark.parametrize("how", ["commit", "autocommit"])
async def test_a_block_cannot_commit_without_its_settle(bus: Bus, connection: db.Connection, how: str) -> None:
    @bus.on("booked", id="coroutine", retry=RetryPolicy(max_attempts=1))
    async def book(message: Message) -> None:
        async with message.transaction() as own:
            if how == "autocommit":
                await own.set_autocommit(True)
            await own.execute("INSERT INTO ledger VALUES ('one')")
            await own.commit()

    @bus.on("booked", id="plain", retry=RetryPolicy(max_attempts=1))
    def book_plain(message: Message) -> None:
        with message.transaction() as own:
            if how == "autocommit":
                own.autocommit = True
            own.execute("INSERT INTO ledger VALUES ('one')")
            own.commit()

    async with bus:
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "last_error_type", "booked") == [("ProgrammingError",)] * 2)
    assert entries(connection) == []


@pytest.mark.parametrize("plain", [False, True])
async def test_a_connection_that_is_lost_between_settle_and_commit_confirms_nothing(
    bus: Bus, connection: db.Connection, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    """The driver passes over the end of a transaction whose connection it knows to be broken."""
    raised: list[BaseException] = []

    async def book(message: Message) -> None:
        try:
            async with message.transaction() as own:
                await own.execute("INSERT INTO ledger VALUES ('one')")
        except BuslogError as error:
            raised.append(error)
            raise

    def book_plain(message: Message) -> None:
        try:
            with message.transaction() as own:
                own.execute("INSERT INTO ledger VALUES ('one')")
        except BuslogError as error:
            raised.append(error)
            raise

    leave, leave_plain = psycopg.AsyncTransaction.__aexit__, psycopg.Transaction.__exit__

    async def lose(self: Any, *error: Any) -> Any:
        self.connection.pgconn.finish()
        return await leave(self, *error)

    def lose_plain(self: Any, *error: Any) -> Any:
        self.connection.pgconn.finish()
        return leave_plain(self, *error)

    bus.on("booked", id="ledger", retry=RetryPolicy(max_attempts=1))(book_plain if plain else book)
    async with bus:
        monkeypatch.setattr(psycopg.AsyncTransaction, "__aexit__", lose)
        monkeypatch.setattr(psycopg.Transaction, "__exit__", lose_plain)
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "state", "booked") == [("failed",)])
    assert [type(error) for error in raised] == [OutcomeUnknown]
    assert entries(connection) == []


@pytest.mark.parametrize("plain", [False, True])
async def test_a_connection_that_died_while_nobody_used_it_charges_no_attempt(
    bus: Bus, connection: db.Connection, plain: bool
) -> None:
    both = threading.Barrier(2)
    sessions: list[int] = []

    async def book(message: Message) -> None:
        async with message.transaction() as own:
            sessions.append(own.info.backend_pid)
            await asyncio.sleep(0.2)

    def book_plain(message: Message) -> None:
        with message.transaction() as own:
            sessions.append(own.info.backend_pid)
            if len(sessions) <= both.parties:
                both.wait(10)

    bus.on("booked", id="ledger", retry=RetryPolicy(max_attempts=1))(book_plain if plain else book)
    async with bus:
        await asyncio.gather(bus.emit("booked"), bus.emit("booked"))
        await until(lambda: log_rows(connection, "state", "booked") == [("succeeded",)] * 2)
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s::int[]) AS pid", [sessions])
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "state", "booked")[2:] in ([("succeeded",)], [("failed",)]))
    assert log_rows(connection, "state", "booked") == [("succeeded",)] * 3


SESSION: LiteralString = """
    SELECT current_setting('search_path') AS path, current_setting('work_mem') AS memory,
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
           (SELECT count(*) FROM pg_listening_channels()) AS channels, (SELECT count(*) FROM pg_cursors) AS cursors
"""
LEAVE_BEHIND: LiteralString = """
    SET search_path = pg_catalog; SET work_mem = '1MB'; SELECT pg_advisory_lock(1); LISTEN booked;
    DECLARE kept CURSOR WITH HOLD FOR SELECT 1
"""


@pytest.mark.parametrize("plain", [False, True])
async def test_what_a_block_leaves_in_its_session_is_not_there_for_the_next(
    bus: Bus, connection: db.Connection, plain: bool
) -> None:
    seen: list[tuple[int, object]] = []

    async def leave(message: Message) -> None:
        async with message.transaction() as own:
            found = await (await own.execute(SESSION)).fetchone()
            own.row_factory = dict_row
            await own.execute(LEAVE_BEHIND)
        seen.append((own.info.backend_pid, found))

    def leave_plain(message: Message) -> None:
        with message.transaction() as own:
            found = own.execute(SESSION).fetchone()
            own.row_factory = dict_row
            own.execute(LEAVE_BEHIND)
        seen.append((own.info.backend_pid, found))

    def has_seen(number: int) -> bool:
        return len(seen) == number

    bus.on("booked", id="ledger")(leave_plain if plain else leave)
    async with bus:
        for number in range(1, 4):
            await bus.emit("booked")
            await until(partial(has_seen, number))
            await asyncio.sleep(0.1)
    sessions, found = zip(*seen, strict=True)
    assert len(set(sessions)) == 1, "the same connection each time"
    assert len(set(found)) == 1, found
    assert log_rows(connection, "state", "booked") == [("succeeded",)] * 3


async def test_a_plain_function_has_a_transaction_too(bus: Bus, connection: db.Connection) -> None:
    threads: list[int] = []

    @bus.on("booked", id="ledger")
    def book(message: Message) -> str:
        threads.append(threading.get_ident())
        with message.transaction() as own:
            own.execute("INSERT INTO ledger VALUES ('one')")
        return "done"

    async with bus:
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "state", "booked") == [("succeeded",)])
    assert entries(connection) == ["one"]
    assert threads != [threading.get_ident()]
    assert connection.execute("SELECT result FROM buslog.ended_deliveries").fetchall() == [("done",)]


async def test_a_delivery_that_was_cancelled_meanwhile_writes_nothing(
    bus: Bus, dsn: str, connection: db.Connection
) -> None:
    raised: list[BaseException] = []
    entered, go_on = threading.Event(), threading.Event()

    @bus.on("booked", id="ledger")
    def book(message: Message) -> None:
        try:
            with message.transaction() as own:
                own.execute("INSERT INTO ledger VALUES ('one')")
                entered.set()
                go_on.wait(10)
        except BaseException as error:
            raised.append(error)
            raise

    async with bus:
        emitted = await bus.emit("booked")
        await asyncio.to_thread(entered.wait, 10)
        Operations(dsn, Actor("local:tester", "cli")).cancel([DeliveryRef(emitted.id, "ledger")])
        go_on.set()
        await until(lambda: raised)
    assert [type(error) for error in raised] == [StaleDelivery]
    assert entries(connection) == []
    assert log_rows(connection, "state", "booked") == [("cancelled",)]


async def test_a_coroutine_whose_delivery_was_taken_over_meanwhile_writes_nothing(
    bus: Bus, connection: db.Connection
) -> None:
    raised: list[BaseException] = []

    @bus.on("booked", id="ledger")
    async def book(message: Message) -> None:
        try:
            async with message.transaction() as own:
                await own.execute("INSERT INTO ledger VALUES ('one')")
                # What a rescue and the next claim do: the delivery is another worker's.
                connection.execute("UPDATE buslog.deliveries SET ready_seq = nextval('buslog.ready_seq')")
        except BaseException as error:
            raised.append(error)
            raise

    async with bus:
        await bus.emit("booked")
        await until(lambda: raised)
    assert [type(error) for error in raised] == [StaleDelivery]
    assert entries(connection) == []


async def test_what_is_raised_after_the_commit_does_not_undo_it(bus: Bus, connection: db.Connection) -> None:
    @bus.on("booked", id="ledger", retry=QUICK)
    async def book(message: Message) -> None:
        async with message.transaction() as own:
            await own.execute("INSERT INTO ledger VALUES ('one')")
        raise ValueError("too late")

    async with bus:
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "state", "booked") == [("succeeded",)])
        await asyncio.sleep(0.3)
    assert entries(connection) == ["one"]
    assert log_rows(connection, "state, attempts", "booked") == [("succeeded", 1)]


async def test_a_chain_goes_on_after_a_transaction(bus: Bus, connection: db.Connection) -> None:
    ran: list[str] = []

    @bus.on("booked", id="first", mode="serial")
    async def first(message: Message) -> None:
        async with message.transaction() as own:
            await own.execute("INSERT INTO ledger VALUES ('first')")

    @bus.on("booked", id="second", mode="serial")
    async def second(message: Message) -> None:
        ran.extend(entries(connection))

    async with bus:
        await bus.emit("booked")
        await until(lambda: ran)
    assert ran == ["first"]


def test_a_message_that_nobody_handles_has_no_transaction() -> None:
    from datetime import UTC, datetime
    from uuid import uuid4

    from buslog import Kind

    message: Message = Message(
        uuid4(), Kind.EVENT, "booked", None, {}, datetime.now(UTC), uuid4(), None, "ledger", 1, 1, 0
    )  # fmt: skip
    with pytest.raises(RuntimeError):
        message.transaction()


async def test_a_coroutine_that_writes_with_is_told_to_write_async_with(bus: Bus, connection: db.Connection) -> None:
    @bus.on("booked", id="ledger", retry=RetryPolicy(max_attempts=1))
    async def book(message: Message) -> None:
        with message.transaction() as own:
            own.execute("INSERT INTO ledger VALUES ('one')")

    async with bus:
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "state, last_error_type", "booked") == [("failed", "TypeError")])
    assert entries(connection) == []


async def test_an_event_loop_of_a_subscriber_s_own_does_not_spoil_the_transactions_of_the_others(
    bus: Bus, connection: db.Connection
) -> None:
    @bus.on("booked", id="own", retry=RetryPolicy(max_attempts=1))
    def own_loop(message: Message) -> None:
        async def book() -> None:
            async with message.transaction():
                pass

        asyncio.run(book())

    @bus.on("shipped", id="ledger", retry=RetryPolicy(max_attempts=1))
    async def ship(message: Message) -> None:
        async with message.transaction() as own:
            await own.execute("INSERT INTO ledger VALUES ('one')")

    async with bus:
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "state, last_error_type", "booked") == [("failed", "TypeError")])
        await bus.emit("shipped")
        await until(lambda: log_rows(connection, "state", "shipped") == [("succeeded",)])


async def test_plain_functions_that_are_the_first_at_once_share_their_connections(
    bus: Bus, connection: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    make_sync_pool = db.make_sync_pool

    def slowly(dsn: str, size: int) -> db.SyncPool:
        time.sleep(0.2)
        made.append(pool := make_sync_pool(dsn, size))
        return pool

    monkeypatch.setattr(db, "make_sync_pool", slowly)

    @bus.on("booked", id="ledger", retry=RetryPolicy(max_attempts=1))
    def book(message: Message) -> None:
        with message.transaction() as own:
            own.execute("INSERT INTO ledger VALUES ('one')")

    async with bus:
        await bus.emit_many("booked", [{}, {}, {}])
        await until(lambda: log_rows(connection, "state", "booked") == [("succeeded",)] * 3)
    assert len(made) == 1


async def test_what_a_block_raises_is_heard_also_when_its_connection_is_broken(
    bus: Bus, connection: db.Connection
) -> None:
    @bus.on("booked", id="coroutine", retry=RetryPolicy(max_attempts=3))
    async def book(message: Message) -> None:
        async with message.transaction() as own:
            await own.execute("INSERT INTO ledger VALUES ('one')")
            connection.execute("SELECT pg_terminate_backend(%s, 5000)", [own.info.backend_pid])
            raise Fail("the customer is unknown")

    @bus.on("booked", id="plain", retry=RetryPolicy(max_attempts=3))
    def book_plain(message: Message) -> None:
        with message.transaction() as own:
            own.execute("INSERT INTO ledger VALUES ('one')")
            with db.connect(bus_dsn(bus)) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [own.info.backend_pid])
            raise Fail("the customer is unknown")

    async with bus:
        await bus.emit("booked")
        await until(lambda: log_rows(connection, "last_error_type", "booked") == [("Fail",)] * 2)


def bus_dsn(bus: Bus) -> str:
    running: Any = bus._running
    return str(running.database.dsn)


async def test_what_commits_while_a_cancel_of_another_is_looked_up_is_not_stopped(
    bus: Bus, connection: db.Connection
) -> None:
    asked, committed, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @bus.on("booked", id="ledger", mode="sync")
    async def book(message: Message) -> None:
        async with message.transaction() as own:
            await own.execute("INSERT INTO ledger VALUES ('one')")
            await asked.wait()
        committed.set()
        await asyncio.sleep(0.3)
        ended.set()

    async with bus:
        running: Any = bus._running
        taken_away = running.store.taken_away

        async def slowly(keys: Any) -> Any:
            if keys:
                asked.set()
                await committed.wait()
            return await taken_away(keys)

        running.store.taken_away = slowly
        emission = bus.emit("booked")
        await until(lambda: log_rows(connection, "state", "booked") == [("running",)])
        connection.execute("NOTIFY buslog_cancelled")
        await emission
        assert ended.is_set()


async def test_what_has_committed_and_has_not_heard_so_is_not_stopped_by_a_cancel_of_another(
    bus: Bus, connection: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed, ended = asyncio.Event(), asyncio.Event()
    leave = psycopg.AsyncTransaction.__aexit__

    async def hear_late(self: psycopg.AsyncTransaction, *error: Any) -> Any:
        left = await leave(self, *error)
        committed.set()
        await asyncio.sleep(0.5)
        return left

    monkeypatch.setattr(psycopg.AsyncTransaction, "__aexit__", hear_late)

    @bus.on("booked", id="ledger", mode="sync")
    async def book(message: Message) -> None:
        async with message.transaction() as own:
            await own.execute("INSERT INTO ledger VALUES ('one')")
        ended.set()

    async with bus:
        emission = bus.emit("booked")
        await committed.wait()
        connection.execute("NOTIFY buslog_cancelled")
        await emission
        assert ended.is_set()
