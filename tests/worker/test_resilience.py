"""What a review found: each of these once spun, hung, ran twice or was lost."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from buslog import Bus, Message, SubscribersFailed, db
from buslog.config import Settings
from buslog.errors import DatabaseUnavailable

from .conftest import QUICK, log_rows, states, until


def away() -> DatabaseUnavailable:
    return DatabaseUnavailable(field="database", rule="answers", was="it was away for a moment")


async def test_a_worker_whose_places_are_all_taken_does_not_spin(test_settings: Settings) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"concurrency": 2}))

    async def slow(message: Message) -> None:
        await asyncio.sleep(1.5)

    bus.on("departed", slow)
    async with bus:
        for _ in range(4):
            await bus.emit("departed")
        began = time.process_time()
        await asyncio.sleep(1)
        busy = time.process_time() - began
    assert busy < 0.15, "of a second in which there was nothing to do"


async def test_the_reconciliation_does_not_run_again_what_is_settled_meanwhile(bus: Bus) -> None:
    ran: list[Any] = []

    async def subscriber(message: Message) -> None:
        ran.append(message.id)
        await asyncio.sleep(0.3)

    bus.on("departed", subscriber)
    async with bus:
        worker = bus._worker
        assert worker is not None
        held = worker._store.held

        async def slow_answer(number: int) -> Any:
            found = await held(number)
            await asyncio.sleep(0.8)
            return found

        await bus.emit("departed")
        await until(lambda: ran)
        worker._store.held = slow_answer  # type: ignore[method-assign, assignment]
        worker.reconcile_soon()
        await asyncio.sleep(1.5)
        worker._store.held = held  # type: ignore[method-assign]
    assert len(ran) == 1


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot say")


async def test_an_error_that_cannot_be_read_is_an_outcome_all_the_same(bus: Bus, connection: db.Connection) -> None:
    async def subscriber(message: Message) -> None:
        raise Unreadable

    bus.on("departed", subscriber, id="mail", retry=QUICK)
    async with bus:
        await bus.emit("departed")
        await until(lambda: states(connection) == {"mail": "failed"})


async def test_one_outcome_that_cannot_be_settled_does_not_keep_the_others(bus: Bus, connection: db.Connection) -> None:
    async def subscriber(message: Message) -> None: ...

    bus.on("departed", subscriber)
    async with bus:
        worker = bus._worker
        assert worker is not None
        settle = worker._store.settle
        refused: list[Any] = []

        async def picky(settlements: Any, *rest: Any) -> Any:
            if not refused:
                refused.append(settlements[0].message_id)
            if is_picky and refused[0] in [s.message_id for s in settlements]:
                raise away()
            return await settle(settlements, *rest)

        is_picky = True
        worker._store.settle = picky  # type: ignore[method-assign, assignment]
        for _ in range(10):
            await bus.emit("departed")
        await until(lambda: sorted(log_rows(connection, "state", "departed")).count(("succeeded",)) == 9)
        is_picky = False
        await until(lambda: log_rows(connection, "state", "departed").count(("succeeded",)) == 10)


async def test_plain_publishers_in_threads_do_not_deadlock_with_their_plain_sync_subscribers(
    test_settings: Settings, connection: db.Connection
) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"concurrency": 2}))

    def publisher(message: Message) -> None:
        time.sleep(0.2)
        bus.emit("told").result(20)

    def told(message: Message) -> None: ...

    bus.on("departed", publisher, id="publisher")
    bus.on("told", told, mode="sync", id="told")
    async with bus:
        for _ in range(4):
            await bus.emit("departed")
        await until(lambda: log_rows(connection, "state", "departed") == [("succeeded",)] * 4)


async def test_a_subscriber_is_not_off_the_bus_because_the_database_was_away_for_a_moment(bus: Bus) -> None:
    seen: list[Any] = []

    async def late(message: Message) -> None:
        seen.append(message.id)

    async with bus:
        store = bus._started_store
        register, calls = store.register, 0

        async def away_once(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise away()
            return await register(*arguments)

        store.register = away_once  # type: ignore[method-assign, assignment]
        bus.on("departed", late)
        emitted = await bus.emit("departed")
        await until(lambda: seen)
    assert emitted.routed == 1


async def test_a_stop_does_not_wait_for_ever_for_a_sync_subscriber_that_will_not_end(
    test_settings: Settings,
) -> None:
    bus = Bus(settings=test_settings.model_copy(update={"grace": 0.2}))
    started = asyncio.Event()
    ends = asyncio.Event()

    async def deaf(message: Message) -> None:
        started.set()
        while not ends.is_set():
            try:
                await ends.wait()
            except asyncio.CancelledError:
                continue

    bus.on("departed", deaf, mode="sync")
    await bus.start()
    emission = bus.emit("departed")
    await started.wait()
    await asyncio.wait_for(bus.stop(), 20)
    with pytest.raises(SubscribersFailed) as failed:
        await emission
    assert "pending" in str(failed.value.exceptions[0])
    ends.set()
    await asyncio.sleep(0.1)


async def test_who_waits_for_another_process_s_subscriber_is_not_told_that_nothing_was_stored(
    bus: Bus, emitter: Bus
) -> None:
    async def status(message: Message) -> None:
        await asyncio.sleep(0.2)

    bus.on("departed", status, mode="sync")
    async with bus, emitter:
        store = emitter._started_store
        outcomes_of, calls = store.outcomes_of, 0

        async def away_once(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise away()
            return await outcomes_of(*arguments)

        store.outcomes_of = away_once  # type: ignore[method-assign, assignment]
        assert (await emitter.emit("departed")).routed == 1
    assert calls > 1
