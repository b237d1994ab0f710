"""A bus that stops while emits are under way: whatever was confirmed is stored, and no caller waits for ever."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Literal
from uuid import UUID

import pytest

from buslog import Bus, Message, db
from buslog.config import Settings
from buslog.errors import BuslogError, BusNotStarted, OutcomeUnknown, StillPending, SubscribersFailed
from buslog.message import Emitted

from .fleet import LONG, wait_until
from .server import Patient

Mode = Literal["async", "sync"]


def make_bus(dsn: str, ran: list[tuple[str, UUID, int]], grace: float, mode: Mode) -> tuple[Bus, asyncio.Event]:
    """`departed` is held up until the event, and says `invoiced`."""
    bus = Bus(settings=Settings(dsn=dsn, poll=0.1, lease=2.0, grace=grace))
    goes_on = asyncio.Event()

    @bus.on("departed", id="departed")
    async def departed(message: Message) -> None:
        ran.append(("departed", message.id, message.attempt))
        await goes_on.wait()
        await bus.emit("invoiced")

    @bus.on("invoiced", id="invoiced", mode=mode)
    async def invoiced(message: Message) -> None:
        ran.append(("invoiced", message.id, message.attempt))

    return bus, goes_on


async def until(condition: Callable[[], object]) -> None:
    await asyncio.to_thread(wait_until, condition)


def waits_for_a_lock(connection: db.Connection) -> bool:
    return (
        connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()
        is not None
    )


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("grace", [10.0, 0.2], ids=["within the grace", "after the grace"])
async def test_an_emit_whose_answer_arrives_while_the_bus_stops_is_stored_and_delivered_once(
    dsn: str, connection: db.Connection, grace: float, mode: Mode
) -> None:
    ran: list[tuple[str, UUID, int]] = []
    bus, goes_on = make_bus(dsn, ran, grace, mode)
    await bus.start()
    await bus.emit("departed")
    await until(lambda: ran)
    with db.connect(dsn) as other:
        with other.transaction():
            other.execute("LOCK TABLE buslog.messages IN EXCLUSIVE MODE")
            stopping = asyncio.create_task(bus.stop())
            await asyncio.sleep(0.05)
            goes_on.set()
            await until(lambda: waits_for_a_lock(connection))
            await asyncio.sleep(0.5)
            assert not stopping.done()
        await asyncio.wait_for(stopping, 20)

    again, goes_on = make_bus(dsn, ran, 5.0, mode)
    goes_on.set()
    async with again:
        await until(lambda: connection.execute("SELECT 1 FROM buslog.deliveries").fetchone() is None)
    log = connection.execute("SELECT name, message_id, state, attempts FROM buslog.log").fetchall()
    assert {row[2] for row in log} == {"succeeded"}
    assert {row[3] for row in log} == {1}, "what the stop cut off is not charged"
    said = {row[1] for row in log if row[0] == "invoiced"}
    heard = [message for name, message, _ in ran if name == "invoiced"]
    assert sorted(heard) == sorted(said), "each once"
    assert len(said) == sum(name == "departed" for name, _, _ in ran), "one for each time that it was said"


@pytest.mark.parametrize("round_", range(20 if LONG else 3))
async def test_threads_that_emit_while_the_bus_stops_hear_what_became_of_each(
    dsn: str, connection: db.Connection, round_: int
) -> None:
    ran: list[tuple[str, UUID, int]] = []
    bus, goes_on = make_bus(dsn, ran, 5.0, "async")
    goes_on.set()
    await bus.start()
    heard: list[Emitted | BuslogError] = []
    is_over = threading.Event()

    def keep_emitting() -> None:
        while not is_over.is_set():
            try:
                heard.append(bus.emit("invoiced").result(20))
            except BuslogError as error:
                heard.append(error)
                return

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        emitters = [threads.submit(keep_emitting) for _ in range(8)]
        await until(lambda: len(heard) > 20)
        await asyncio.wait_for(bus.stop(), 20)
        is_over.set()
        await asyncio.wait_for(asyncio.gather(*map(asyncio.wrap_future, emitters)), 20)
    stored = {row[0] for row in connection.execute("SELECT id FROM buslog.messages").fetchall()}
    confirmed = {one.id for one in heard if isinstance(one, Emitted)}
    assert confirmed <= stored
    assert stored <= confirmed, "whoever was refused has said nothing"
    assert {type(one) for one in heard} <= {Emitted, BusNotStarted}, "what was sent before the end is out"


async def test_a_stop_ends_and_everybody_is_answered_while_the_database_is_frozen(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = patient.create()
    monkeypatch.setattr("buslog.running.MARGIN", 0.5)
    async with Bus(settings=Settings(dsn=own, lease=2.0)) as elsewhere:
        elsewhere.on("asked", lambda _: None, id="elsewhere", mode="sync")
        await elsewhere.emit("asked")
    ran: list[tuple[str, UUID, int]] = []
    bus, goes_on = make_bus(own, ran, 0.5, "async")
    await bus.start()
    stream, asked = bus.events(), bus.emit("asked")
    await bus.emit("departed")
    await until(lambda: ran)
    followed = [(await asyncio.wait_for(anext(stream), 20)).name for _ in range(2)]
    assert followed == ["asked", "departed"]
    with patient.frozen():
        stuck = bus.emit("departed")
        began = time.monotonic()
        stopping = asyncio.create_task(bus.stop())
        await asyncio.sleep(1.5)  # the first drain has given up
        goes_on.set()  # a subscriber that still runs says something
        await asyncio.wait([stopping], timeout=30)
        took = time.monotonic() - began
        heard = await asyncio.wait_for(asyncio.gather(stuck, asked, return_exceptions=True), 10) if took < 29 else []
    await stopping
    assert took < 25
    assert isinstance(heard[0], OutcomeUnknown)
    assert isinstance(heard[1], SubscribersFailed)
    assert isinstance(heard[1].exceptions[0], StillPending)
    assert [record.name async for record in stream] == [], (
        "the stream ends; what came of a frozen database is not in it"
    )
