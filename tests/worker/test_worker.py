from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from buslog import Bus, Message, RetryPolicy, db
from buslog.config import Settings
from buslog.desk import Actor
from buslog.errors import InvalidMessage
from buslog.message import DeliveryRef
from buslog.operations import Operations

from .conftest import QUICK, log_rows, states, until


async def test_an_error_is_retried_until_it_succeeds(bus: Bus, connection: db.Connection) -> None:
    attempts: list[int] = []

    async def shaky(message: Message) -> None:
        attempts.append(message.attempt)
        if message.attempt < 3:
            raise ConnectionError("carrier does not answer")

    bus.on("departed", shaky, retry=QUICK)
    async with bus:
        await bus.emit("departed")
        await until(lambda: log_rows(connection, "state, attempts", "departed") == [("succeeded", 3)])
    assert attempts == [1, 2, 3]
    rows = connection.execute("SELECT attempt, error_type, error FROM buslog.attempts ORDER BY attempt").fetchall()
    assert rows == [(n, "ConnectionError", "carrier does not answer") for n in (1, 2)]


async def test_what_keeps_failing_waits_for_a_person_and_a_replay_mends_it(bus: Bus, connection: db.Connection) -> None:
    works = False

    async def mail(message: Message) -> str:
        if not works:
            raise OSError("mail server refuses")
        return "sent"

    bus.on("departed", mail, retry=QUICK, id="mail")
    async with bus:
        emitted = await bus.emit("departed")
        await until(lambda: log_rows(connection, "state, attempts", "departed") == [("failed", 3)])
        works = True
        ref = DeliveryRef(emitted.id, "mail")
        await asyncio.to_thread(Operations(bus._started().database.dsn, Actor("local:me", "cli")).replay, [ref])
        await until(lambda: states(connection) == {"mail": "succeeded"})
    assert connection.execute("SELECT count(*) FROM buslog.attempts").fetchone() == (3,)


async def test_an_emit_by_sql_is_delivered_within_the_poll(bus: Bus, connection: db.Connection) -> None:
    async def subscriber(message: Message) -> None: ...

    bus.on("departed", subscriber)
    async with bus:
        await asyncio.sleep(0.3)
        connection.execute("SELECT buslog.emit('departed', '{}')")
        await until(lambda: log_rows(connection, "state", "departed") == [("succeeded",)])


async def test_a_worker_runs_no_more_at_once_than_its_places(test_settings: Settings) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"concurrency": 4}))
    running = most = done = 0

    async def subscriber(message: Message) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        done += 1

    bus.on("departed", subscriber)
    async with bus:
        for _ in range(60):
            bus.emit("departed")
        await until(lambda: done == 60)
    assert most == 4


async def test_an_idle_worker_asks_the_database_a_few_times_a_second_and_no_more(bus: Bus) -> None:
    """A look for work that finds none must not be the reason for the next one."""

    async def subscriber(message: Message) -> None: ...

    bus.on("departed", subscriber)
    async with bus:
        await bus.emit("departed")
        store = bus._worker._store  # type: ignore[union-attr]
        claim, looks = store.claim, 0

        async def counted(*arguments: Any) -> Any:
            nonlocal looks
            looks += 1
            return await claim(*arguments)

        store.claim = counted  # type: ignore[method-assign]
        began = time.monotonic()
        await until(lambda: looks >= 5)
        await asyncio.sleep(1)
        took = time.monotonic() - began
    assert looks <= 15 * took + 5, "the poll is 0.1 s"


async def test_a_stopping_bus_lets_running_subscribers_finish(bus: Bus, connection: db.Connection) -> None:
    started = asyncio.Event()

    async def subscriber(message: Message) -> None:
        started.set()
        await asyncio.sleep(0.3)

    bus.on("departed", subscriber)
    async with bus:
        await bus.emit("departed")
        await started.wait()
    assert log_rows(connection, "state, attempts", "departed") == [("succeeded", 1)]
    assert connection.execute("SELECT count(*) FROM buslog.workers").fetchone() == (0,)


async def test_past_the_grace_period_a_delivery_is_released_without_charging_an_attempt(
    test_settings: Settings, connection: db.Connection
) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"grace": 0.1}))
    started = asyncio.Event()

    async def endless(message: Message) -> None:
        started.set()
        await asyncio.sleep(3600)

    bus.on("departed", endless)
    async with bus:
        await bus.emit("departed")
        await started.wait()
    assert log_rows(connection, "state, attempts", "departed") == [("pending", 0)]


async def test_a_thread_that_will_not_end_is_left_to_its_lease_and_not_run_twice(
    test_settings: Settings, connection: db.Connection
) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"grace": 0.1}))
    started, held = threading.Event(), threading.Event()

    def stuck(message: Message) -> None:
        started.set()
        held.wait(30)

    bus.on("departed", stuck)
    async with bus:
        await bus.emit("departed")
        assert await asyncio.to_thread(started.wait, 20)
    assert log_rows(connection, "state, attempts", "departed") == [("running", 1)]
    assert connection.execute("SELECT count(*) FROM buslog.workers").fetchone() == (1,)
    held.set()


async def test_deliveries_of_a_dead_worker_are_rescued_with_the_attempt_charged(
    bus: Bus, connection: db.Connection
) -> None:
    seen: list[int] = []

    async def subscriber(message: Message) -> None:
        seen.append(message.attempt)

    bus.on("departed", subscriber, retry=QUICK, id="mail")
    async with bus:
        pass  # registered
    connection.execute("SELECT buslog.emit('departed', '{}')")
    connection.execute(
        "INSERT INTO buslog.workers (worker, version, hosts, lease_until)"
        " VALUES ('dead:1', '', '{}', clock_timestamp() + interval '1 hour')"
    )
    connection.execute(
        """SELECT * FROM buslog.claim((SELECT id FROM buslog.workers), ARRAY(SELECT id FROM buslog.subscriptions), NULL,
                                      5)"""
    )
    connection.execute("UPDATE buslog.workers SET lease_until = clock_timestamp()")
    async with bus:
        await until(lambda: seen == [2])
        await until(lambda: states(connection) == {"mail": "succeeded"})
    rows = connection.execute("SELECT attempt, error_type, worker FROM buslog.attempts").fetchall()
    assert rows == [(1, "WorkerLost", "dead:1")]


async def test_a_worker_that_was_retired_enters_anew_and_works_on(bus: Bus, connection: db.Connection) -> None:
    async def subscriber(message: Message) -> None: ...

    bus.on("departed", subscriber)
    async with bus:
        before = bus._worker._id  # type: ignore[union-attr]
        connection.execute("UPDATE buslog.workers SET retired_at = clock_timestamp()")
        await until(lambda: bus._worker._id not in {None, before})  # type: ignore[union-attr]
        await bus.emit("departed")
        connection.execute("SELECT buslog.emit('departed', '{}')")
        await until(lambda: {row[0] for row in log_rows(connection, "state", "departed")} == {"succeeded"})


async def test_a_lease_is_kept_while_the_event_loop_is_blocked(test_settings: Settings, dsn: str) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"lease": 2.0}))

    async def blocking(message: Message) -> None:
        time.sleep(3.5)

    bus.on("departed", blocking)
    async with bus:
        await bus.emit("departed")
        with db.connect(dsn) as connection:
            await until(lambda: log_rows(connection, "finished_at", "departed")[0][0])
    with db.connect(dsn) as connection:
        assert log_rows(connection, "state, attempts", "departed") == [("succeeded", 1)]


async def test_what_was_leased_here_unheard_is_run(bus: Bus, connection: db.Connection) -> None:
    """A claim whose answer was lost on the way: the database leased a delivery to a worker that does not know."""
    seen: list[Any] = []

    async def subscriber(message: Message) -> None:
        seen.append(message.id)

    bus.on("departed", subscriber, id="mail")
    async with bus:
        worker = bus._worker
        assert worker is not None
        hosted, worker._hosted = worker._hosted, {}  # it claims nothing while we claim in its name
        await asyncio.sleep(0.2)
        connection.execute("SELECT buslog.emit('departed', '{}')")
        connection.execute(
            "SELECT * FROM buslog.claim(%s, ARRAY(SELECT id FROM buslog.subscriptions), NULL, 5)", [worker._id]
        )
        worker._hosted = hosted
        await asyncio.sleep(0.3)
        assert seen == []
        worker.reconcile_soon()
        await until(lambda: states(connection) == {"mail": "succeeded"})
    assert len(seen) == 1


async def test_an_undecodable_row_fails_alone_and_the_batch_goes_on(bus: Bus, connection: db.Connection) -> None:
    async def subscriber(message: Message) -> None: ...

    bus.on("departed", subscriber, id="mail")
    async with bus:
        pass
    connection.execute("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 5)")
    connection.execute(
        "UPDATE buslog.messages SET payload = ('{\"a\":' || repeat('[', 5000) || repeat(']', 5000) || '}')::jsonb"
        " WHERE id = (SELECT id FROM buslog.messages ORDER BY id LIMIT 1)"
    )
    async with bus:
        await until(lambda: {r[0] for r in log_rows(connection, "state", "departed")} == {"succeeded", "failed"})
        await until(
            lambda: sorted(r[0] for r in log_rows(connection, "state", "departed")) == ["failed"] + ["succeeded"] * 4
        )


async def test_a_worker_goes_on_when_all_its_connections_are_cut(bus: Bus, connection: db.Connection) -> None:
    seen: list[Any] = []

    async def subscriber(message: Message) -> None:
        seen.append(message.id)
        await asyncio.sleep(0.05)

    bus.on("departed", subscriber)
    async with bus:
        connection.execute("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 40)")
        await until(lambda: len(seen) > 5)
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        await until(lambda: {r[0] for r in log_rows(connection, "state", "departed")} == {"succeeded"})
    assert len(set(seen)) == 40


@pytest.mark.parametrize("workers", [3])
async def test_several_workers_share_the_work_and_run_each_delivery_once(
    test_settings: Settings, connection: db.Connection, workers: int
) -> None:
    ran: list[Any] = []

    async def subscriber(message: Message) -> None:
        ran.append(message.id)
        await asyncio.sleep(0.005)

    buses = [Bus(settings=test_settings) for _ in range(workers)]
    for bus in buses:
        bus.on("departed", subscriber, id="mail", retry=RetryPolicy())
        await bus.start()
    connection.execute("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 300)")
    await until(lambda: len(ran) >= 300)
    for bus in buses:
        await bus.stop()
    assert len(ran) == len(set(ran)) == 300


@pytest.mark.parametrize("when", ["after", "at", "sql"])
async def test_a_message_for_later_is_scheduled_until_it_is_due(bus: Bus, connection: db.Connection, when: str) -> None:
    ran: list[float] = []

    async def subscriber(message: Message) -> None:
        ran.append(time.monotonic())

    bus.on("departed", subscriber, id="mail")
    bus.on("departed", subscriber_of_a_chain(), id="s1", mode="serial")
    bus.on("departed", subscriber_of_a_chain(), id="s2", mode="serial")

    async def emit(seconds: float) -> None:
        if when == "after":
            await bus.emit("departed", after=seconds)
        elif when == "at":
            await bus.emit("departed", at=datetime.now(UTC) + timedelta(seconds=seconds))
        else:
            connection.execute("SELECT buslog.emit('departed', '{}', after => make_interval(secs => %s))", [seconds])

    async with bus:
        await emit(3600)
        assert states(connection) == {"mail": "scheduled", "s1": "scheduled", "s2": "blocked"}
        began = time.monotonic()
        await emit(0.8)
        await until(lambda: log_rows(connection, "state", "departed").count(("succeeded",)) == 3)
    assert ran[0] - began >= 0.75
    assert len(ran) == 1, "the one of an hour later is not due"


def subscriber_of_a_chain() -> Any:
    async def subscriber(message: Message) -> None: ...

    return subscriber


async def test_nobody_waits_for_a_sync_subscriber_of_a_message_for_later(bus: Bus, connection: db.Connection) -> None:
    bus.on("departed", subscriber_of_a_chain(), id="status", mode="sync")
    async with bus:
        await asyncio.wait_for(bus.emit("departed", after=3600), 30)
    assert states(connection) == {"status": "scheduled"}


async def test_a_moment_that_has_passed_means_at_once(bus: Bus, connection: db.Connection) -> None:
    bus.on("departed", subscriber_of_a_chain(), id="status", mode="sync")
    async with bus:
        await bus.emit("departed", at=datetime(2020, 1, 1, tzinfo=UTC))
        assert states(connection) == {"status": "succeeded"}


@pytest.mark.parametrize(
    "wrong",
    [{"after": -1}, {"after": float("nan")}, {"after": 1e12}, {"at": datetime(2030, 1, 1)}, {"at": datetime.max}],  # noqa: DTZ001, DTZ901
)
async def test_a_nonsense_time_is_refused(bus: Bus, wrong: dict[str, Any]) -> None:
    async with bus:
        with pytest.raises(InvalidMessage):
            bus.emit("departed", **wrong)


async def test_a_late_commit_below_what_was_claimed_since_is_found_within_the_poll(dsn18: str) -> None:
    poll = 4.0  # so long that a busy machine is told apart from a look that comes a poll too late
    bus = Bus(settings=Settings(dsn=dsn18, lease=5.0).model_copy(update={"poll": poll}))
    ran: dict[UUID, float] = {}

    async def departed(message: Message) -> None:
        ran[message.id] = time.monotonic()

    bus.on("departed", departed)
    async with bus:
        running: Any = bus._running
        worker = running.worker
        below, looks = worker._floors.below, []

        def looked(subscriptions: Any) -> Any:
            looks.append(below(subscriptions))
            return looks[-1]

        worker._floors.below = looked
        with db.connect(dsn18) as own, db.connect(dsn18) as others:
            with own.transaction():
                row = own.execute("SELECT buslog.emit('departed', '{}')").fetchone()
                assert row is not None
                give_up_at = time.monotonic() + 30
                while not (looks and looks[-1] is None and len(ran) > 50):  # just after a look everywhere
                    assert time.monotonic() < give_up_at
                    others.execute("SELECT buslog.emit('departed', '{}')")
                    worker._wake.set()
                    await asyncio.sleep(0.01)
            committed_at = time.monotonic()
        await until(lambda: row[0] in ran)
    assert ran[row[0]] - committed_at < 1.5 * poll


async def test_what_is_to_run_alone_gets_its_turn_behind_a_backlog_that_never_ends(
    test_settings: Settings, dsn: str
) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"concurrency": 2}))
    ran: list[str] = []

    async def busy(message: Message) -> None:
        await asyncio.sleep(0.01)
        await bus.emit("busy")  # two for each that ends
        await bus.emit("busy")

    async def killer(message: Message) -> None:
        ran.append(str(message.id))

    bus.on("busy", busy, id="busy", retry=QUICK)
    bus.on("killer", killer, id="killer")
    async with bus:
        with db.connect(dsn) as other:
            for _ in range(20):
                await bus.emit("busy")
            with other.transaction():
                for _ in range(5):
                    other.execute("SELECT buslog.emit('killer', '{}')")
                other.execute("UPDATE buslog.deliveries d SET alone = true FROM buslog.subscriptions s"
                              " WHERE s.id = d.subscription_id AND s.subscription = 'killer'")  # fmt: skip
            await until(lambda: len(ran) == 5)
            bus.off("busy", busy)
