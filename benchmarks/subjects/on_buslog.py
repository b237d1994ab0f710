"""buslog itself: its public face, its defaults but for the places a worker has."""

from __future__ import annotations

import asyncio
import time

import common
from common import BATCH, NAME, SUBSCRIPTION, Drain, Latencies, payload

from buslog import Bus, db
from buslog.config import Settings
from buslog.store import Store


def make_bus(options: dict, subscriber=None) -> Bus:
    """A bus that hosts the subscriber, or only emits."""
    bus = Bus(host=subscriber is not None, settings=Settings(dsn=options["dsn"], concurrency=BATCH))
    if subscriber is not None:
        bus.on(NAME, id=SUBSCRIPTION)(subscriber)
    return bus


async def react(message) -> None:
    """The no-op subscriber."""


async def prepare(options: dict) -> None:
    await asyncio.to_thread(db.migrate, options["dsn"])
    async with make_bus(options, react):
        pass


async def emit(options: dict) -> None:
    async with make_bus(options) as bus:
        await common.measure_rate(lambda: bus.emit(NAME, payload()), options)


async def emit_many(bus: Bus, count: int) -> None:
    await bus.emit_many(NAME, [payload(number) for number in range(count)])


async def bulk(options: dict) -> None:
    async with make_bus(options) as bus:
        await common.measure_rate(lambda: emit_many(bus, options["size"]), options, options["size"])


async def fill(options: dict) -> None:
    async with make_bus(options) as bus:
        for start in range(0, options["count"], 200):
            await emit_many(bus, min(200, options["count"] - start))


async def none_open(connection: db.AsyncConnection) -> bool:
    cursor = await connection.execute("SELECT NOT EXISTS (SELECT FROM buslog.deliveries)")
    row = await cursor.fetchone()
    return bool(row and row[0])


async def drain(options: dict) -> None:
    connection = await db.connect_async(options["dsn"])
    clock = Drain(options["count"], lambda: none_open(connection))

    async def react(message) -> None:
        clock.tick()

    async with make_bus(options, react):
        await clock.finish()


async def receive(options: dict) -> None:
    latencies = Latencies(options["count"])

    async def react(message) -> None:
        latencies.take(message.payload["sent"])

    async with make_bus(options, react):
        await asyncio.sleep(0.5)  # the listening connection
        common.say_ready()
        await asyncio.sleep(3600)


async def send(options: dict) -> None:
    async with make_bus(options) as bus:
        await common.at_random(options["count"], options["gap"], lambda n: bus.emit(NAME, payload(n)))
        common.answer()


async def local(options: dict) -> None:
    latencies = Latencies(options["count"], leaving=False)

    async def react(message) -> None:
        latencies.take(message.payload["sent"])

    async with make_bus(options, react) as bus:
        await asyncio.sleep(0.5)
        await common.at_random(options["count"], options["gap"], lambda n: bus.emit(NAME, payload(n)))
    common.answer(latencies=latencies.found)


async def pace(options: dict) -> None:
    """Emits `rate` messages a second for `seconds`, a batch every 25 ms."""
    async with make_bus(options) as bus:
        began, sent = time.monotonic(), 0
        while (passed := time.monotonic() - began) < options["seconds"]:
            due = int(passed * options["rate"]) - sent
            await emit_many(bus, due)
            sent += due
            await asyncio.sleep(0.025)
        common.answer(rate=sent / (time.monotonic() - began))


async def claims(options: dict) -> None:
    """A worker under load: how long each claim took that found something, by the second it was made in."""
    took: list[tuple[float, float]] = []
    untimed = Store.claim

    async def timed(self, *arguments):
        began = time.monotonic()
        found = await untimed(self, *arguments)
        if found:
            took.append((began, (time.monotonic() - began) * 1000))
        return found

    Store.claim = timed
    async with make_bus(options, react):
        common.say_ready()
        await asyncio.sleep(options["seconds"])
        connection = await db.connect_async(options["dsn"])
        cursor = await connection.execute("SELECT count(*) FROM buslog.deliveries")
        (backlog,) = await cursor.fetchone()
        common.answer(claims=took, backlog=backlog)
        common.leave()


async def memory(options: dict) -> None:
    """Megabytes that the worker's resident memory grows by from its `first` to its `last` delivery."""
    count, at_first = 0, 0.0
    done = asyncio.Event()

    async def react(message) -> None:
        nonlocal count, at_first
        count += 1
        if count == options["first"]:
            at_first = resident_mb()
        elif count == options["last"]:
            done.set()

    async with make_bus(options, react):
        await done.wait()
        common.answer(first=at_first, last=resident_mb())
        common.leave()


def resident_mb() -> float:
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * 4096 / 1e6


if __name__ == "__main__":
    common.run({f.__name__: f for f in (prepare, emit, bulk, fill, drain, receive, send, local, pace, claims, memory)})
