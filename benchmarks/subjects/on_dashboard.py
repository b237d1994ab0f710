"""buslog's dashboard and what it stands on.

Verbs beside those of common.py:

browse    `times` looks at pages of 50, of each kind in turn                → of each the latencies in ms
chart     `times` reads of each of the `charts`: hours, bucket              → latencies in ms; sums of what they show
drain     ends `count` waiting deliveries of the generated log's names      → rate
replay    a stored run of what failed between `since` and `until`           → accepted, settled: seconds; sent
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial

import common
from common import BATCH, Drain

from buslog import Bus, db
from buslog.config import Settings

NAMES = 40
SETTLE_LIMIT = 60.0  # seconds


def serve(options: dict) -> None:
    """Its database is given as any user gives it."""
    command = [sys.executable, "-m", "buslog", "dashboard", "--port", str(options["port"])]
    common.become_server(command, options["port"], BUSLOG_DSN=options["dsn"])


# ── reads ───────────────────────────────────────────────────────────────────────


def browse(options: dict) -> None:
    """The latest 50, as pages read them: none of a look's answer is kept."""
    from buslog.filter import Filter
    from buslog.insights import Cursor, Insights
    from buslog.message import State

    insights = Insights(options["dsn"])
    far = Cursor(uuid.UUID(options["far"]), 2**31 - 1)
    looks = {
        "failed": lambda: insights.page(Filter(states=(State.FAILED,))),
        "key": lambda: insights.page(Filter(key=random.choice(options["keys"]))),
        "name": lambda: insights.page(Filter(names=(f"name{random.randrange(NAMES)}",))),
        "first": lambda: insights.page(Filter()),
        "far": lambda: insights.page(Filter(), older_than=far),
    }
    common.answer(**common.in_turn(looks, options["times"]))


def chart(options: dict) -> None:
    """By the bucket of the target; a page chooses its own."""
    from buslog.filter import Filter
    from buslog.insights import Insights, rollup

    insights, until = Insights(options["dsn"]), datetime.fromisoformat(options["until"])

    def read(hours: int, bucket: float) -> dict:
        filter_ = Filter(since=until - timedelta(hours=hours), until=until)
        with insights._reading() as connection:  # noqa: SLF001  (the bucket of the target)
            counted = rollup.counts(connection, filter_, until, timedelta(seconds=bucket))
            return rollup.series_of(connection, filter_, until, timedelta(seconds=bucket), counted)

    def sums(points: dict) -> dict:
        return {what: sum(point[what] for point in points.values()) for what in ("messages", "failures", "errors")}

    looks = {name: partial(read, *asked) for name, asked in options["charts"].items()}
    latencies = common.in_turn(looks, options["times"])
    common.answer(latencies=latencies, sums={name: sums(look()) for name, look in looks.items()})


# ── the bus behind it ───────────────────────────────────────────────────────────


def make_bus(options: dict, react) -> Bus:
    bus = Bus(settings=Settings(dsn=options["dsn"], concurrency=BATCH))
    for n in range(NAMES):
        bus.on(f"name{n}", id=f"subscriber{n}")(react)
    return bus


async def drain(options: dict) -> None:
    from on_buslog import none_open

    connection = await db.connect_async(options["dsn"])
    clock = Drain(options["count"], lambda: none_open(connection))

    async def react(message) -> None:
        clock.tick()

    async with make_bus(options, react):
        await clock.finish()


async def work(options: dict) -> None:
    async def react(message) -> None:
        pass

    async with make_bus(options, react):
        await asyncio.sleep(0.5)  # the listening connection
        common.say_ready()
        await asyncio.sleep(3600)


def replay(options: dict) -> None:
    from buslog.desk import Actor
    from buslog.filter import Filter
    from buslog.message import State
    from buslog.replays import Replays

    since, until = (datetime.fromisoformat(options[one]).astimezone(UTC) for one in ("since", "until"))
    filter_ = Filter(states=(State.FAILED,), since=since, until=until)
    replays = Replays(options["dsn"], Actor.local("cli"))
    began = time.monotonic()
    preview = replays.preview(filter_)
    replays.start(preview.run, canary=0, undo=0)
    accepted = time.monotonic() - began
    with db.connect(options["dsn"]) as connection:
        give_up_at = began + SETTLE_LIMIT
        while not is_settled(connection, preview.run):
            if time.monotonic() > give_up_at:
                raise TimeoutError("what was replayed is not settled")
            time.sleep(0.005)
    settled = time.monotonic() - began
    while (run := replays.run(preview.run)).succeeded < preview.eligible and time.monotonic() < give_up_at:
        time.sleep(0.05)  # the run follows what it sent a moment later
    common.answer(accepted=accepted, settled=settled, sent=run.succeeded)


def is_settled(connection, run: int) -> bool:
    """On one connection: to open one for each look takes half a processor from what is measured."""
    row = connection.execute(
        "SELECT waiting = 0 AND NOT EXISTS (SELECT FROM buslog.deliveries) FROM buslog.replays WHERE id = %s", (run,)
    ).fetchone()
    return bool(row[0])


if __name__ == "__main__":
    common.run({f.__name__: f for f in (serve, browse, chart, drain, work, replay)})
