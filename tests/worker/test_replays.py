"""Stored runs, carried on by real workers: also when one of them is killed half-way."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from buslog import Bus, Fail, Message, db
from buslog.config import Settings
from buslog.desk import Actor
from buslog.filter import Filter
from buslog.message import State
from buslog.replays import ItemState, Replays, Run, RunState, Verb

from .conftest import QUICK, until

FAILED = Filter(states=(State.FAILED,))
ROOT = Path(__file__).parents[2]


@pytest.fixture
def replays(dsn: str) -> Replays:
    return Replays(dsn, Actor("local:tester", "cli"))


class World:
    """What the subscriber calls: down at first. `ran` counts the attempts of each message since it is up."""

    def __init__(self) -> None:
        self.is_down = True
        self.refuses: set[int] = set()
        self.ran: Counter[int] = Counter()

    def call(self, message: Message) -> None:
        number = message.payload["n"]
        if self.is_down or number in self.refuses:
            raise Fail("the carrier is down")
        self.ran[number] += 1


@pytest.fixture
def world(bus: Bus) -> World:
    made = World()

    @bus.on("departed", id="mail", retry=QUICK)
    async def mail(message: Message) -> None:
        made.call(message)

    return made


async def fail(bus: Bus, connection: db.Connection, number: int) -> None:
    await bus.emit_many("departed", [{"n": n} for n in range(number)])
    await until(lambda: failures(connection) == number)


def failures(connection: db.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM buslog.log WHERE state = 'failed'").fetchone()
    return int(row[0]) if row else 0


async def ended(replays: Replays, run: int, state: RunState = RunState.ENDED) -> Run:
    await until(lambda: replays.run(run).state is state, 30)
    return replays.run(run)


async def test_a_run_sends_all_that_failed_once_the_canary_has_succeeded(
    bus: Bus, world: World, replays: Replays, connection: db.Connection
) -> None:
    async with bus:
        await fail(bus, connection, 50)
        world.is_down = False
        found = await ended(replays, replays.start(replays.preview(FAILED).run, undo=0).id)
    assert (found.succeeded, found.waiting, found.sent) == (50, 0, 0)
    assert world.ran == Counter(dict.fromkeys(range(50), 1))
    assert len(replays.items(found.id, state=ItemState.SUCCEEDED, places=100)) == 50


async def test_a_canary_that_fails_keeps_the_others_from_being_sent(
    bus: Bus, world: World, replays: Replays, connection: db.Connection
) -> None:
    async with bus:
        await fail(bus, connection, 20)
        found = await ended(replays, replays.start(replays.preview(FAILED).run, undo=0).id, RunState.STOPPED)
        await until(lambda: replays.run(found.id).sent == 0)
        await asyncio.sleep(0.5)
    found = replays.run(found.id)
    assert (found.failed_again, found.waiting) == (5, 15)
    assert world.ran == {}


async def test_a_run_can_be_undone_before_it_begins(
    bus: Bus, world: World, replays: Replays, connection: db.Connection
) -> None:
    async with bus:
        await fail(bus, connection, 5)
        world.is_down = False
        run = replays.start(replays.preview(FAILED).run, canary=0, undo=60).id
        await asyncio.sleep(0.4)
        replays.stop(run)
        connection.execute("UPDATE buslog.replays SET begins_at = now(), next_at = now() WHERE next_at IS NOT NULL")
        await asyncio.sleep(0.8)
        assert world.ran == {}
        assert replays.run(run).waiting == 5
        undone = replays.start(replays.preview(FAILED).run, canary=0, undo=0.5).id
        await ended(replays, undone)
    assert world.ran == Counter(dict.fromkeys(range(5), 1)), "the time to undo over, it is sent"


async def test_a_run_that_is_stopped_half_way_leaves_the_rest_failed(
    bus: Bus, world: World, replays: Replays, connection: db.Connection
) -> None:
    async with bus:
        await fail(bus, connection, 400)
        world.is_down = False
        run = replays.start(replays.preview(FAILED).run, canary=0, undo=0, rate=40).id
        await until(lambda: len(world.ran) >= 10)
        replays.stop(run)
        await until(lambda: replays.run(run).sent == 0)
        sent = replays.run(run).succeeded
        await asyncio.sleep(0.5)
    found = replays.run(run)
    assert 10 <= found.succeeded == sent == len(world.ran) < 400
    assert failures(connection) == found.waiting == 400 - sent


async def test_two_operators_who_start_the_same_set_at_once_send_each_delivery_once(
    bus: Bus, world: World, replays: Replays, dsn: str, connection: db.Connection
) -> None:
    other = Replays(dsn, Actor("local:other", "dashboard"))
    async with bus:
        await fail(bus, connection, 200)
        world.is_down = False
        previews = [(each, each.preview(FAILED).run) for each in (replays, other)]
        runs = await asyncio.gather(
            *(asyncio.to_thread(each.start, run, canary=0, undo=0, rate=400) for each, run in previews)
        )
        both = [await ended(replays, run.id) for run in runs]
    assert world.ran == Counter(dict.fromkeys(range(200), 1))
    assert sum(run.succeeded for run in both) == sum(run.skipped for run in both) == 200


async def test_what_failed_again_is_replayed_by_itself(
    bus: Bus, world: World, replays: Replays, connection: db.Connection
) -> None:
    async with bus:
        await fail(bus, connection, 10)
        world.is_down, world.refuses = False, {3, 7}
        first = await ended(replays, replays.start(replays.preview(FAILED).run, canary=0, undo=0).id)
        assert (first.succeeded, first.failed_again) == (8, 2)
        world.refuses = set()
        again = await ended(replays, replays.start(replays.preview_failed(first.id).run, canary=0, undo=0).id)
    assert again.succeeded == 2
    assert world.ran == Counter(dict.fromkeys(range(10), 1))


async def test_many_that_run_are_cancelled_and_their_coroutines_stopped(
    bus: Bus, replays: Replays, connection: db.Connection
) -> None:
    started = stopped = 0

    @bus.on("departed", id="mail", retry=QUICK)
    async def mail(message: Message) -> None:
        nonlocal started, stopped
        started += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped += 1
            raise

    async with bus:
        await bus.emit_many("departed", [{"n": n} for n in range(30)])
        await until(lambda: started == 20)  # as many as there are places
        run = replays.start(replays.preview(Filter(), Verb.CANCEL).run, reason="nobody needs them", undo=0).id
        found = await ended(replays, run)
        await until(lambda: stopped == 20)
    assert found.cancelled == 30


# ── processes ───────────────────────────────────────────────────────────────────

APP = """
import os
from pathlib import Path
from buslog import Bus, Fail, Message, RetryPolicy

bus = Bus()


@bus.on("departed", id="mail", retry=RetryPolicy(max_attempts=8, first_delay=0.05, factor=1))
async def mail(message: Message) -> None:
    if not Path(os.environ["WORLD"]).exists():
        raise Fail("the carrier is down")
"""


class Fleet:
    """Worker processes of one small application."""

    def __init__(self, folder: Path, dsn: str) -> None:
        (folder / "carrier_app.py").write_text(APP)
        self.world = folder / "up"
        self._folder = folder
        self._dsn = dsn
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ, "BUSLOG_DSN": self._dsn, "BUSLOG_LEASE": "1", "BUSLOG_POLL": "0.1", "WORLD": str(self.world),
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "buslog", "worker", "carrier_app:bus"], cwd=self._folder, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.processes.append(process)
        return process


@pytest.fixture
def fleet(tmp_path: Path, dsn: str) -> Iterator[Fleet]:
    made = Fleet(tmp_path, dsn)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


async def test_a_run_goes_on_when_the_worker_that_carries_it_is_killed_half_way(
    fleet: Fleet, test_settings: Settings, replays: Replays, connection: db.Connection
) -> None:
    number = 400
    worker = fleet.start()
    await until(lambda: connection.execute("SELECT 1 FROM buslog.routes").fetchall(), 30)
    async with Bus(host=False, settings=test_settings) as emitter:
        await emitter.emit_many("departed", [{"n": n} for n in range(number)])
    await until(lambda: failures(connection) == number, 30)
    fleet.world.touch()
    run = replays.start(replays.preview(FAILED).run, canary=5, undo=0, rate=200).id
    await until(lambda: replays.run(run).succeeded >= number / 4, 30)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    half = replays.run(run)
    assert half.state is RunState.RUNNING
    assert half.waiting > 0
    fleet.start()
    found = await ended(replays, run)
    assert (found.succeeded, found.failed_again, found.skipped) == (number, 0, 0)
    generations = connection.execute(
        "SELECT generation, count(*) FROM buslog.ended_deliveries GROUP BY generation ORDER BY generation"
    ).fetchall()
    assert generations == [(1, number), (2, number)], "each was sent once"
    audited = connection.execute("SELECT count(*) FROM buslog.operations WHERE verb = 'replay'").fetchone()
    assert audited == (number,)
