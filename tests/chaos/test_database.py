"""Faults 8 and 12 to 15: a database that dies, freezes, lives in another day, is full, drops LISTEN or carries an old
snapshot.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from buslog import db
from buslog.config import settings
from buslog.errors import DatabaseUnavailable
from buslog.execution import Outcome
from buslog.floors import Floors
from buslog.message import State
from buslog.store import POOL_SIZE, Said, Settlement, Store

from .app import bus
from .client import Client
from .conftest import Judge
from .fleet import BUSY, COME_UP, LEASE, LONG, Fleet, wait_until
from .ledger import read_runs, read_said
from .server import TERMINATE, Patient

DONE = Outcome(State.SUCCEEDED)
# Seconds from the database's first answer to the next emit and the next run, at most: 0.06 to 2 are usual, and the rest
# is for busy cores. Left to a pool that has given up, it would be for ever.
RECONNECTED = 8.0 + BUSY
SMALL = 25  # deliveries of a claim
MANY = 0 if LONG else 200_000  # that are over before: in two seconds not enough become so by themselves


@pytest.fixture
def fleet(patient: Patient, tmp_path: Path) -> Iterator[Fleet]:
    """No worker yet; its server may be shot."""
    running = Fleet(patient.create(), tmp_path)
    running.register()
    yield running
    running.stop()
    patient.drop(running.dsn)


# ── 8: the database dies, stops, drops everybody, freezes ───────────────────────


def stop_and_start(patient: Patient, fleet: Fleet, seconds: float) -> None:
    patient.stop_at_once()
    time.sleep(seconds)
    patient.restart()


def freeze(patient: Patient, fleet: Fleet, seconds: float) -> None:
    with patient.frozen():
        time.sleep(seconds)


Strike = Callable[[Patient, Fleet], object]
STRIKES: dict[str, Strike] = {
    "a backend is killed": lambda patient, fleet: patient.kill_backend(fleet.dsn),
    "all backends are terminated": lambda patient, fleet: patient.terminate_backends(fleet.dsn),
    "it stops at once and starts": lambda patient, fleet: stop_and_start(patient, fleet, 0.5),
    "it stays away for a while": lambda patient, fleet: stop_and_start(patient, fleet, 6),
    "it freezes past the lease": lambda patient, fleet: freeze(patient, fleet, 2 * LEASE),
    "it stays away for a minute": lambda patient, fleet: stop_and_start(patient, fleet, 60),
    "it freezes for half a minute": lambda patient, fleet: freeze(patient, fleet, 30),
}
SHORT = list(STRIKES)[:5]


def test_whatever_the_database_suffers_nothing_is_lost_and_work_goes_on_within_seconds(
    patient: Patient, fleet: Fleet, client: Client, judge: Judge, chance: random.Random
) -> None:
    fleet.start(ready=False)
    fleet.start()
    client.flow(30, seconds=0.05)
    client.flow(3, name="chain", seconds=0.01)
    in_flight = 0
    for name in rounds_of(chance):
        time.sleep(chance.uniform(0.3, 0.8))
        print(name)  # noqa: T201
        in_flight += strike_and_recover(patient, fleet, client, STRIKES[name])
    client.ebb()
    fleet.drain()
    judge.kept(reruns_at_most=in_flight)


def rounds_of(chance: random.Random) -> list[str]:
    """Every strike once, in some order; in the long form many of them and the two that take their time."""
    if not LONG:
        return chance.sample(SHORT, len(SHORT))
    return [*chance.choices(SHORT, k=60), "it stays away for a minute", "it freezes for half a minute"]


def strike_and_recover(patient: Patient, fleet: Fleet, client: Client, strike: Strike) -> int:
    """Returns how many deliveries were in flight. Fails when emits and runs do not go on soon."""
    before = fleet.running()
    strike(patient, fleet)
    patient.wait_until_it_answers(fleet.dsn)
    back_at = time.monotonic()
    after = fleet.running()
    emitted = sum(line.what == "ok" for line in read_said(client.said_file))
    wait_until(lambda: sum(line.what == "ok" for line in read_said(client.said_file)) > emitted, 90)
    emit_gap = time.monotonic() - back_at
    wait_until(lambda: any(run.what == "start" and run.at > back_at for run in read_runs(fleet.runs_file)), 90)
    run_gap = time.monotonic() - back_at
    print(f"{before} + {after} in flight; gaps: emit {emit_gap:.2f} s, run {run_gap:.2f} s")  # noqa: T201
    assert max(emit_gap, run_gap) < RECONNECTED
    return before + after


# ── 12: its clock jumps ─────────────────────────────────────────────────────────

DAY = 86_400


@pytest.fixture
def set_clock(patient: Patient, fleet: Fleet, clock_library: Path | None) -> Iterator[Callable[[int], None]]:
    """Shifts the clock of the server while it runs, by so many seconds."""
    if clock_library is None:
        if os.environ.get("CI"):
            pytest.fail("CI has a compiler")
        pytest.skip("a server's clock is shifted by a library that needs a compiler")
    shift = clock_library.with_name("shift")
    shift.write_text("0")
    shift.chmod(0o644)
    patient.stop_at_once()
    patient.restart(LD_PRELOAD=str(clock_library), CLOCK_SHIFT_FILE=str(shift))

    def set_to(seconds: int) -> None:
        shift.write_text(str(seconds))
        with db.connect(fleet.dsn) as connection:
            row = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        assert row is not None
        assert abs(float(row[0]) - time.time() - seconds) < 60, "its clock was not shifted"

    yield set_to
    shift.write_text("0")


@pytest.mark.parametrize("seconds", [pytest.param(DAY, id="a day ahead"), pytest.param(-DAY, id="a day back")])
def test_a_database_whose_clock_jumps_claims_nothing_early_and_runs_twice_only_what_was_in_flight(
    fleet: Fleet, client: Client, judge: Judge, set_clock: Callable[[int], None], seconds: int
) -> None:
    with db.connect(fleet.dsn) as connection:  # where yesterday is of another month
        connection.execute("SELECT buslog.ensure_partitions(now() - interval '2 days', now())")
    fleet.start(ready=False)
    fleet.start()
    client.flow(20, seconds=0.2)
    client.flow(3, name="chain", seconds=0.01)
    time.sleep(30 if LONG else 1)
    set_clock(seconds)
    time.sleep(30 if LONG else 1)
    client.ebb()
    in_flight = 20  # what two workers can hold
    said_at: dict[str, float] = {}
    for number in range(50 if LONG else 5):
        said_at[token := f"later-{number}"] = time.monotonic()
        client.call(client.emit("work", {"raises": 1}, token=token, after=1.5))
    tokens = {f"held-{number}" for number in range(5)}
    for token in tokens:
        client.call(client.emit("work", {"seconds": 1.0}, token=token))
    wait_until(lambda: tokens <= {run.token for run in read_runs(fleet.runs_file)})
    in_flight += fleet.kill(max(fleet.alive(), key=fleet.held))
    fleet.drain()  # not after a day
    judge.kept(reruns_at_most=in_flight)
    starts = [run for run in read_runs(fleet.runs_file) if run.what == "start"]
    assert min(run.at - said_at[run.token] for run in starts if run.token in said_at) >= 1.5


# ── 13: no connection to be had ─────────────────────────────────────────────────


def test_a_database_that_is_full_says_so_and_work_goes_on_when_there_is_room_again(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    worker = fleet.start()
    with ExitStack() as taken:
        first = taken.enter_context(db.connect(fleet.dsn))
        wait_until(lambda: first.execute("SELECT FROM pg_stat_activity WHERE query LIKE 'LISTEN %'").rowcount == 1)
        refusal = fill_up(fleet, taken)
        assert first.execute(TERMINATE, ["LISTEN %"]).rowcount == 1
        fill_up(fleet, taken)
        refused = fleet.start(ready=False)
        assert refused.wait(COME_UP) == 2
        client.say(10)
        wait_until(lambda: fleet.log(worker).count("listen: database") >= 2)
        for told in (str(refusal), fleet.log(refused), fleet.log(worker)):
            assert "max_connections" in told
    fleet.start()
    client.say(10)
    fleet.drain()
    judge.kept()


def fill_up(fleet: Fleet, taken: ExitStack) -> DatabaseUnavailable:
    """Takes every connection that is to be had; returns what the next one is told."""
    while True:
        try:
            taken.enter_context(db.connect(fleet.dsn))
        except DatabaseUnavailable as error:
            return error


def test_with_every_connection_of_a_program_in_use_an_emit_fails_in_time_and_the_next_one_goes_through(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    with db.connect(fleet.dsn) as connection, connection.transaction():
        connection.execute("LOCK TABLE buslog.deliveries")
        store = client._bus._started_store
        store._pool.timeout = 10 if LONG else 1  # seconds: the real one is 10
        stuck = [client.begin(client.look_for_outcomes()) for _ in range(POOL_SIZE)]
        wait_until(lambda: waiting_for_a_lock(fleet) == POOL_SIZE)
        began = time.monotonic()
        (refused,) = client.say()
        assert isinstance(refused, DatabaseUnavailable)
        assert "every connection of this program" in str(refused)
        assert time.monotonic() - began < store._pool.timeout + BUSY
    for future in stuck:
        future.result(60)
    client.say()
    fleet.start()
    fleet.drain()
    judge.kept()


def waiting_for_a_lock(fleet: Fleet) -> int:
    with db.connect(fleet.dsn) as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchone()
    return int(row[0]) if row else 0


# ── 14: LISTEN dropped ──────────────────────────────────────────────────────────


def test_with_listen_dropped_again_and_again_the_poll_delivers(
    patient: Patient, fleet: Fleet, client: Client, judge: Judge
) -> None:
    fleet.start(BUSLOG_POLL="1.0")
    slowest = 0.0
    for number in range(20 if LONG else 3):
        wait_until(lambda: patient.terminate_backends(fleet.dsn, "LISTEN %") == 1)
        said_at = time.monotonic()
        client.say()
        wait_until(lambda: len(read_runs(fleet.runs_file)) == 2 * (number + 1))  # noqa: B023  (within its round)
        slowest = max(slowest, read_runs(fleet.runs_file)[-1].at - said_at)
    fleet.drain()
    judge.kept()
    assert slowest < 1.0 + BUSY, "one poll"


# ── 15: an old snapshot ─────────────────────────────────────────────────────────


def test_an_old_snapshot_under_load_does_not_slow_claims_down(fleet: Fleet, client: Client, judge: Judge) -> None:
    seconds = 60.0 if LONG else 2.0
    baseline = claim_times(fleet.dsn, seconds)
    with db.connect(fleet.dsn) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM buslog.deliveries")
        leave_behind(fleet.dsn, MANY)
        loaded = claim_times(fleet.dsn, seconds)
    # Of two seconds the slowest hundredth is what the machine was doing.
    for measure in (statistics.median, p99) if LONG else (statistics.median,):
        print(f"claim {measure(baseline):.2f} → {measure(loaded):.2f} ms")  # noqa: T201
        assert measure(loaded) < (3 if LONG else 10) * measure(baseline)


def leave_behind(dsn: str, count: int) -> None:
    """So many deliveries that are over, and that the snapshot keeps in the index of what is ready."""
    with db.connect(dsn) as connection:
        connection.execute(
            """INSERT INTO buslog.deliveries (message_id, subscription_id, state, ready_seq)
               SELECT gen_random_uuid(), s.id, 'pending', nextval('buslog.ready_seq')
               FROM buslog.subscriptions s, generate_series(1, %s) WHERE s.subscription = 'work'""",
            [count],
        )
        connection.execute("DELETE FROM buslog.deliveries")


def claim_times(dsn: str, seconds: float) -> list[float]:
    """Milliseconds that each claim took, as a worker makes it: with floors, and a look without them once a second.
    Small ones, of which there are hundreds a second.
    """

    async def load() -> list[float]:
        store = Store(dsn)
        await store.open()
        (number,) = [
            await store.register(subscription, "") for subscription in bus._registry if subscription.id == "work"
        ]
        worker = await store.enter("host:1", "", [number], 2 * seconds)
        times, floors = [], Floors(settings().poll)
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            await store.emit_many([Said("work", "{}")] * SMALL)
            began = time.perf_counter()
            claims = await store.claim(worker, [number], SMALL, floors.below([number]))
            times.append((time.perf_counter() - began) * 1000)
            floors.claimed(claims)
            settlements = [Settlement(c.message_id, c.subscription_id, c.fence, DONE) for c in claims]
            await store.settle(settlements, "host:1", "")
        await store.leave(worker)
        await store.close()
        return times

    return asyncio.run(load())


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[-1]
