"""What a review found: a stop that would not end, places that were not given back, emits that waited for others."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import psycopg
import pytest

from buslog import Bus, Message, db
from buslog.config import Settings
from buslog.desk import Actor
from buslog.errors import BuslogError, DatabaseUnavailable
from buslog.message import DeliveryRef
from buslog.operations import Operations

from .conftest import states, until


async def test_a_new_name_in_an_open_transaction_holds_nobody_up(dsn18: str) -> None:
    async with Bus(host=False, settings=Settings(dsn=dsn18)) as bus:
        with psycopg.connect(dsn18) as own:
            own.execute("SELECT buslog.emit('departed', '{}')")
            emission = bus.emit("departed")
            try:
                await asyncio.wait_for(asyncio.shield(emission), 15)
            finally:
                own.rollback()
                await emission


async def test_a_stop_does_not_wait_for_a_claim_that_is_not_answered(dsn18: str) -> None:
    bus = Bus(settings=Settings(dsn=dsn18, poll=0.1, lease=2.0, grace=0.5))

    async def subscriber(message: Message) -> None: ...

    bus.on("departed", subscriber)
    await bus.start()
    with db.connect(dsn18) as other:
        try:
            with other.transaction():
                other.execute("LOCK TABLE buslog.deliveries")
                await asyncio.sleep(0.5)
                stopping = asyncio.create_task(bus.stop())
                await asyncio.wait([stopping], timeout=15)
                assert stopping.done()
        finally:
            await asyncio.wait_for(stopping, 20)


async def test_a_stop_does_not_wait_for_a_subscriber_that_cannot_be_registered(dsn18: str) -> None:
    bus = Bus(settings=Settings(dsn=dsn18, poll=0.1, lease=2.0, grace=0.5))
    await bus.start()
    running: Any = bus._running
    register = running.store.register

    async def away(*arguments: Any) -> Any:
        raise DatabaseUnavailable(field="database", rule="answers", was="it is away")

    running.store.register = away
    bus.on("departed", lambda _: None)
    stopping = asyncio.create_task(bus.stop())
    try:
        await asyncio.wait([stopping], timeout=15)
        assert stopping.done()
    finally:
        running.store.register = register
        await asyncio.wait_for(stopping, 20)


async def test_a_worker_that_enters_anew_while_it_stops_leaves_all_the_same(dsn18: str) -> None:
    bus = Bus(settings=Settings(dsn=dsn18, poll=0.1, lease=1.0, grace=5.0))

    async def subscriber(message: Message) -> None:
        await asyncio.sleep(1.0)

    bus.on("departed", subscriber)
    await bus.start()
    await bus.emit("departed")
    running: Any = bus._running
    worker = running.worker
    with db.connect(dsn18) as connection:
        connection.execute(
            """CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$;
               CREATE TRIGGER slowly BEFORE INSERT ON buslog.workers FOR EACH ROW EXECUTE FUNCTION slowly()"""
        )
        stopping = asyncio.create_task(bus.stop())
        await asyncio.sleep(0.1)
        connection.execute("DELETE FROM buslog.workers")  # its next beat finds nothing to renew
        await asyncio.wait_for(stopping, 20)
        await asyncio.sleep(3.0)
        left = connection.execute("SELECT count(*) FROM buslog.workers").fetchone()
    is_beating = worker._beat._thread.is_alive()
    await asyncio.to_thread(worker._beat.stop)
    assert left == (0,)
    assert not is_beating


async def test_what_waits_behind_a_commit_that_failed_oddly_is_sent(dsn18: str) -> None:
    async with Bus(host=False, settings=Settings(dsn=dsn18)) as bus:
        running: Any = bus._running
        emit_many, calls = running.store.emit_many, 0

        async def odd(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise RuntimeError("nobody foresaw this")
            return await emit_many(*arguments, **options)

        running.store.emit_many = odd
        emissions = [bus.emit("departed") for _ in range(250)]  # more than one commit
        with pytest.raises(BuslogError):
            await emissions[0]
        try:
            await asyncio.wait_for(asyncio.shield(emissions[-1]), 15)
        finally:
            await bus.emit("departed")
            await asyncio.gather(*emissions, return_exceptions=True)


async def test_a_place_is_free_again_when_what_waits_to_run_alone_is_cancelled(dsn18: str) -> None:
    bus = Bus(settings=Settings(dsn=dsn18, poll=0.1, lease=5.0, concurrency=2, grace=1.0))
    may_end = asyncio.Event()

    async def slow(message: Message) -> None:
        await may_end.wait()

    async def killer(message: Message) -> None: ...

    bus.on("slow", slow, id="slow")
    bus.on("killer", killer, id="killer")
    async with bus:
        await bus.emit("slow")
        with db.connect(dsn18) as other:
            await until(lambda: states(other) == {"slow": "running"})
            with other.transaction():
                row = other.execute("SELECT buslog.emit('killer', '{}')").fetchone()
                other.execute("UPDATE buslog.deliveries SET alone = true WHERE state = 'pending'")
            assert row is not None
            await until(lambda: states(other).get("killer") == "running")
            Operations(dsn18, Actor("local:test", "cli")).cancel([DeliveryRef(row[0], "killer")])
        running: Any = bus._running
        in_flight = running.worker._in_flight
        give_up_at = time.monotonic() + 15
        while in_flight.alone and time.monotonic() < give_up_at:
            await asyncio.sleep(0.05)
        may_end.set()
        await until(lambda: in_flight.free_places == 2)


async def test_a_long_outage_does_not_use_up_the_numbers_of_attempts(dsn18: str) -> None:
    bus = Bus(settings=Settings(dsn=dsn18, poll=0.1, lease=5.0))
    ran: list[Any] = []

    async def subscriber(message: Message) -> None:
        ran.append(message.attempt)

    bus.on("departed", subscriber, id="mail")
    async with bus:
        pass
    with db.connect(dsn18) as connection:
        connection.execute("SELECT buslog.emit('departed', '{}')")
        connection.execute("UPDATE buslog.deliveries SET attempt = 32767, uncharged = 32767")
    async with bus:
        await until(lambda: ran)


async def test_what_a_stop_finds_before_it_has_begun_is_released_uncharged(dsn18: str) -> None:
    bus = Bus(settings=Settings(dsn=dsn18, poll=0.1, lease=5.0, grace=0.3))

    async def invoiced(message: Message) -> None: ...

    bus.on("invoiced", invoiced, id="invoiced")
    await bus.start()
    running: Any = bus._running
    worker = running.worker
    in_flight: Any = worker._in_flight
    release = in_flight.release

    async def release_after_an_answer() -> bool:
        with db.connect(dsn18) as other:
            other.execute("SELECT buslog.emit('invoiced', '{}')")
        (claimed,) = await running.store.claim(worker._id, list(worker._hosted), 5)
        worker.adopt([claimed])
        return bool(await release())

    in_flight.release = release_after_an_answer
    await asyncio.wait_for(bus.stop(), 20)
    with db.connect(dsn18) as other:
        assert other.execute("SELECT state, attempt FROM buslog.deliveries").fetchall() == [("pending", 0)]
        assert other.execute("SELECT count(*) FROM buslog.workers").fetchone() == (0,)


@pytest.mark.parametrize("how", ["no stop", "a stop that is cut off"])
async def test_a_lease_runs_out_with_its_event_loop_though_the_process_lives_on(dsn18: str, how: str) -> None:
    quick = Settings(dsn=dsn18, poll=0.1, lease=1.0, grace=5.0)
    ran: list[int] = []

    def abandon() -> None:
        bus = Bus(settings=quick)

        @bus.on("departed", id="mail")
        async def mail(message: Message) -> None:
            await asyncio.sleep(3600)

        async def main() -> None:
            await bus.start()
            await bus.emit("departed")
            if how == "a stop that is cut off":
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bus.stop(), 0.5)

        asyncio.run(main())

    await asyncio.to_thread(abandon)
    bus = Bus(settings=quick)

    @bus.on("departed", id="mail")
    async def mail(message: Message) -> None:
        ran.append(message.attempt)

    with db.connect(dsn18) as connection:
        async with bus:
            await until(lambda: connection.execute("SELECT count(*) FROM buslog.attempts").fetchone() == (1,), 15)
            connection.execute("UPDATE buslog.deliveries SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")
            await until(lambda: ran == [2], 15)
