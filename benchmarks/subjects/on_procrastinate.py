"""Procrastinate: its asynchronous connector with a pool, its defaults but for the worker's concurrency."""

from __future__ import annotations

import asyncio

import common
import procrastinate
from common import BATCH, CONNECTIONS, NAME, Drain, Latencies, payload


def make_app(options: dict, subscriber=None):
    connector = procrastinate.PsycopgConnector(conninfo=options["dsn"], min_size=1, max_size=CONNECTIONS)
    app = procrastinate.App(connector=connector)
    return app, app.task(name=NAME)(subscriber or react)


async def react(sent: dict) -> None:
    """The no-op subscriber."""


async def prepare(options: dict) -> None:
    app, _ = make_app(options)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def emit(options: dict) -> None:
    app, task = make_app(options)
    async with app.open_async():
        await common.measure_rate(lambda: task.defer_async(sent=payload()), options)


async def defer_many(task, count: int) -> None:
    await task.batch_defer_async(*[{"sent": payload(n)} for n in range(count)])


async def bulk(options: dict) -> None:
    app, task = make_app(options)
    async with app.open_async():
        await common.measure_rate(lambda: defer_many(task, options["size"]), options, options["size"])


async def fill(options: dict) -> None:
    app, task = make_app(options)
    async with app.open_async():
        for start in range(0, options["count"], 200):
            await defer_many(task, min(200, options["count"] - start))


async def work(app) -> None:
    await app.run_worker_async(concurrency=BATCH, install_signal_handlers=False)


async def drain(options: dict) -> None:
    open_left = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing')) AS left"

    async def settled() -> bool:
        row = await app.connector.execute_query_one_async(open_left)
        return not row["left"]

    clock = Drain(options["count"], settled)

    async def react(sent: dict) -> None:
        clock.tick()

    app, _ = make_app(options, react)
    async with app.open_async():
        await asyncio.gather(work(app), clock.finish())


async def receive(options: dict) -> None:
    latencies = Latencies(options["count"])

    async def react(sent: dict) -> None:
        latencies.take(sent["sent"])

    app, _ = make_app(options, react)
    async with app.open_async():
        working = asyncio.create_task(work(app))
        await asyncio.sleep(1.0)  # the listening connection
        common.say_ready()
        await working


async def send(options: dict) -> None:
    app, task = make_app(options)
    async with app.open_async():
        await common.at_random(options["count"], options["gap"], lambda n: task.defer_async(sent=payload(n)))
    common.answer()


if __name__ == "__main__":
    common.run({f.__name__: f for f in (prepare, emit, bulk, fill, drain, receive, send)})
