"""PgQueuer: asyncpg, which its makers recommend for speed; a pool to emit with, batches of 100 to work with."""

from __future__ import annotations

import asyncio
import json

import asyncpg
import common
from common import BATCH, CONNECTIONS, NAME, Drain, Latencies, payload
from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, PgQueuer, Queries


async def make_queries(options: dict, connections: int = 1) -> Queries:
    pool = await asyncpg.create_pool(options["dsn"], min_size=connections, max_size=connections)
    return Queries(AsyncpgPoolDriver(pool))


def body(number: int = 0) -> bytes:
    return json.dumps(payload(number)).encode()


async def prepare(options: dict) -> None:
    await Queries(AsyncpgDriver(await asyncpg.connect(options["dsn"]))).install()


async def emit(options: dict) -> None:
    queries = await make_queries(options, 1 if options["callers"] == 1 else CONNECTIONS)
    await common.measure_rate(lambda: queries.enqueue(NAME, body()), options)
    common.leave()


async def enqueue_many(queries: Queries, count: int) -> None:
    await queries.enqueue([NAME] * count, [body(n) for n in range(count)], [0] * count)


async def bulk(options: dict) -> None:
    queries = await make_queries(options)
    await common.measure_rate(lambda: enqueue_many(queries, options["size"]), options, options["size"])
    common.leave()


async def fill(options: dict) -> None:
    queries = await make_queries(options)
    for start in range(0, options["count"], 200):
        await enqueue_many(queries, min(200, options["count"] - start))
    common.leave()


async def make_worker(options: dict, subscriber) -> PgQueuer:
    worker = PgQueuer(AsyncpgDriver(await asyncpg.connect(options["dsn"])))
    worker.entrypoint(NAME)(subscriber)
    return worker


async def drain(options: dict) -> None:
    watching = await asyncpg.connect(options["dsn"])
    clock = Drain(options["count"], lambda: watching.fetchval("SELECT NOT EXISTS (SELECT FROM pgqueuer)"))

    async def react(taken) -> None:
        clock.tick()

    worker = await make_worker(options, react)
    await asyncio.gather(worker.run(batch_size=BATCH), clock.finish())


async def receive(options: dict) -> None:
    latencies = Latencies(options["count"])

    async def react(taken) -> None:
        latencies.take(json.loads(taken.payload)["sent"])

    worker = await make_worker(options, react)
    working = asyncio.create_task(worker.run())
    await asyncio.sleep(1.0)  # the listening connection
    common.say_ready()
    await working


async def send(options: dict) -> None:
    queries = await make_queries(options)
    await common.at_random(options["count"], options["gap"], lambda n: queries.enqueue(NAME, body(n)))
    common.answer()
    common.leave()


if __name__ == "__main__":
    common.run({f.__name__: f for f in (prepare, emit, bulk, fill, drain, receive, send)})
