"""DBOS: its client puts workflows on a queue; as many threads as there are callers."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import common
from common import CONNECTIONS, NAME, payload
from dbos import DBOSClient
from dbos.cli.migration import run_dbos_database_migrations

QUEUE = "bench"


def prepare(options: dict) -> None:
    run_dbos_database_migrations(options["dsn"])


async def emit(options: dict) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(options["callers"]))
    client = DBOSClient(system_database_url=options["dsn"], system_database_pool_size=CONNECTIONS)
    enqueued = {"workflow_name": NAME, "queue_name": QUEUE}
    await common.measure_rate(lambda: client.enqueue_async(enqueued, payload()), options)
    common.leave()


if __name__ == "__main__":
    common.run({f.__name__: f for f in (prepare, emit)})
