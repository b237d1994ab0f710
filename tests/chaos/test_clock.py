"""Fault 12: workers whose clocks are a day ahead and a day behind. The database's clock: test_database."""

from __future__ import annotations

import time
from pathlib import Path

from .client import Client
from .conftest import Judge
from .fleet import LONG, Fleet, Process, wait_until
from .ledger import Ran, read_runs

DAY = 86_400


def start_shifted(fleet: Fleet, clock_library: Path | None, seconds: int) -> Process:
    """A worker that lives in another day."""
    clock = fleet.folder / f"clock{seconds}"
    if clock_library is None:
        worker = fleet.start(CHAOS_CLOCK=str(clock), CHAOS_SHIFT_PYTHON=str(seconds))
    else:
        worker = fleet.start(CHAOS_CLOCK=str(clock), LD_PRELOAD=str(clock_library), CLOCK_SHIFT=str(seconds))
    assert abs(float(clock.read_text()) - time.time() - seconds) < 60, "its clock was not shifted"
    return worker


def starts_of(fleet: Fleet) -> list[Ran]:
    return [run for run in read_runs(fleet.runs_file) if run.what == "start"]


def test_workers_a_day_ahead_and_a_day_behind_claim_nothing_early_and_nothing_twice(
    fleet: Fleet, client: Client, judge: Judge, clock_library: Path | None
) -> None:
    ahead = start_shifted(fleet, clock_library, DAY)
    start_shifted(fleet, clock_library, -DAY)
    said_at: dict[str, float] = {}
    for number in range(200 if LONG else 10):
        said_at[token := f"later-{number}"] = time.monotonic()
        client.call(client.emit("work", {"seconds": 0.2}, token=token, after=1.5))
    client.flow(20, seconds=0.1, raises=1)
    time.sleep(60 if LONG else 2)
    wait_until(lambda: len({run.pid for run in starts_of(fleet)}) == 2, tell=lambda: "only one of them has worked")
    client.ebb()
    fleet.drain()
    judge.kept(reruns_at_most=0)
    starts = starts_of(fleet)
    assert min(run.at - said_at[run.token] for run in starts if run.token in said_at) >= 1.5

    client.say(5, seconds=1.0)
    wait_until(lambda: len(starts_of(fleet)) == len(starts) + 5)
    in_flight = fleet.kill(ahead)
    fleet.drain()
    judge.kept(reruns_at_most=in_flight)
