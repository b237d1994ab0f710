"""Faults 1 to 7: workers that are killed, die by their own subscribers, stall, block and restart."""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections import Counter, defaultdict
from pathlib import Path
from uuid import UUID

import pytest

from buslog import db

from .app import MAX_ATTEMPTS, QUICK
from .checker import history
from .client import Client
from .conftest import Judge, on_each_version
from .fleet import BUSY, COME_UP, LEASE, LONG, POLL, Fleet, wait_until
from .ledger import Ran, read_runs


def begun(fleet: Fleet, pid: int | None = None) -> int:
    """Attempts that have started, in all workers or in one."""
    return sum(run.what == "start" and pid in {None, run.pid} for run in read_runs(fleet.runs_file))


# ── 1: kill -9 in mid-subscriber ────────────────────────────────────────────────


@on_each_version
def test_with_workers_killed_at_random_nothing_is_lost_and_only_what_was_in_flight_runs_again(
    fleet: Fleet, client: Client, judge: Judge, chance: random.Random
) -> None:
    for _ in range(4):
        fleet.start(ready=False)
    fleet.ready()
    client.flow(40, seconds=0.1)
    client.flow(5, name="chain", seconds=0.02)
    in_flight = 0
    killed_at: dict[int, float] = {}
    rounds = 0
    while rounds < (200 if LONG else 4) or not in_flight:  # a kill that meets no delivery shows nothing
        rounds += 1
        assert rounds < 250
        time.sleep(chance.uniform(0.1, 0.6))
        wait_until(
            lambda: len(fleet.working()) >= 3, COME_UP
        )  # who is killed works; two are left to rescue what it held
        victim = chance.choice(fleet.working())
        in_flight += fleet.kill(victim)
        killed_at[victim.pid] = time.monotonic()
        fleet.start(ready=False)
    client.ebb()
    fleet.drain()
    judge.kept(reruns_at_most=in_flight)
    assert slowest_rerun(fleet, killed_at) <= LEASE + POLL + QUICK.max_delay + BUSY


def slowest_rerun(fleet: Fleet, killed_at: dict[int, float]) -> float:
    """Seconds from the first kill of a delivery to its next start, at worst. What is killed twice runs alone."""
    runs = defaultdict(list)
    for run in read_runs(fleet.runs_file):
        runs[run.delivery].append(run)
    worst = 0.0
    for each in runs.values():
        ended = {(run.attempt, run.pid) for run in each if run.what == "end"}
        starts = [run for run in each if run.what == "start"]
        killed = [
            (cut, again)
            for cut, again in itertools.pairwise(starts)
            if cut.pid in killed_at and (cut.attempt, cut.pid) not in ended
        ]
        if killed:
            cut, again = killed[0]
            worst = max(worst, again.at - killed_at[cut.pid])
    return worst


# ── 2: crash points ─────────────────────────────────────────────────────────────


@on_each_version
def test_a_crash_after_the_effect_and_before_the_settle_costs_one_more_run(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    fleet.start()
    client.say(dies_after_effect=True)
    wait_until(lambda: not fleet.alive())
    fleet.start()
    fleet.drain()
    verdict = judge.kept(reruns_at_most=1)
    assert verdict.reruns == 1
    assert Counter(run.what for run in read_runs(fleet.runs_file)) == {"start": 2, "end": 2}
    assert attempts_of(fleet) == [2]


@on_each_version
def test_a_crash_between_claim_and_start_is_charged_and_runs_nothing_twice(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    fleet.start(CHAOS_DIE_AFTER_CLAIM="1")
    client.say()
    wait_until(lambda: not fleet.alive())
    assert begun(fleet) == 0
    fleet.start()
    fleet.drain()
    judge.kept(reruns_at_most=0)
    assert attempts_of(fleet) == [2], "counted at claim: a delivery that kills its worker cannot loop for ever"


def attempts_of(fleet: Fleet) -> list[int]:
    with db.connect(fleet.dsn) as connection:
        return [row[0] for row in connection.execute("SELECT attempts FROM buslog.log").fetchall()]


# ── 3: a subscriber that kills its process ──────────────────────────────────────


def test_a_subscriber_that_kills_its_process_fails_at_its_last_attempt_and_its_neighbours_finish(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    client.say(20 if LONG else 6, seconds=0.3)
    client.say(exit=True)
    client.say(20 if LONG else 6, seconds=0.3)
    end_by_themselves(fleet, 2 * COME_UP)  # five processes, one after the other
    states = outcomes(fleet)
    assert states == {("succeeded", False): 40 if LONG else 12, ("failed", True): 1}
    verdict = judge.look()
    assert verdict.broken() == {}
    assert begun_of_killers(fleet) == MAX_ATTEMPTS
    assert not beside_killers(fleet, from_attempt=3), "after two crashes it runs alone"


def end_by_themselves(fleet: Fleet, seconds: float) -> None:
    """Keeps one worker up, as a supervisor does, until nothing is open."""

    def up_and_ended() -> bool:
        if not fleet.alive():
            fleet.start(ready=False)
        return fleet.open_deliveries() == 0

    wait_until(up_and_ended, seconds)


def outcomes(fleet: Fleet) -> dict[tuple[str, bool], int]:
    """How many deliveries, by state and whether they kill."""
    with db.connect(fleet.dsn) as connection:
        rows = connection.execute(
            "SELECT state, payload ? 'exit', count(*) FROM buslog.log GROUP BY 1, 2"
        ).fetchall()  # fmt: skip
    return {(state, kills): count for state, kills, count in rows}


def begun_of_killers(fleet: Fleet) -> int:
    killers = killers_of(fleet)
    return sum(run.what == "start" and run.message in killers for run in read_runs(fleet.runs_file))


def beside_killers(fleet: Fleet, from_attempt: int) -> list[Ran]:
    """What was cut off by a killer in its worker, at that attempt of the killer's or a later one."""
    killers, runs = killers_of(fleet), read_runs(fleet.runs_file)
    pids = {run.pid for run in runs if run.message in killers and run.attempt >= from_attempt}
    ended = {(run.delivery, run.pid) for run in runs if run.what == "end"}
    return [
        run for run in runs if run.pid in pids and run.message not in killers and (run.delivery, run.pid) not in ended
    ]


def killers_of(fleet: Fleet) -> set[UUID]:
    with db.connect(fleet.dsn) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM buslog.messages WHERE payload ? 'exit'")}


# ── 4: rows that will not decode ────────────────────────────────────────────────


@on_each_version
@pytest.mark.parametrize(
    "payload", ["repeat('[', 5000) || repeat(']', 5000)", "repeat('9', 5000)"], ids=["depth 5000", "5000 digits"]
)
def test_a_row_that_will_not_decode_fails_alone(fleet: Fleet, client: Client, judge: Judge, payload: str) -> None:
    said = client.say(9)
    with db.connect(fleet.dsn) as connection:
        connection.execute("SET max_stack_depth = '6MB'")
        connection.execute(
            f"""UPDATE buslog.messages SET payload = (
                    '{{"token": "' || (payload ->> 'token') || '", "bad": ' || {payload} || '}}')::jsonb
                WHERE id = (SELECT max(id::text)::uuid FROM buslog.messages)"""
        )
    fleet.start()
    fleet.drain()
    with db.connect(fleet.dsn) as connection:
        rows = connection.execute(
            "SELECT state, attempts, last_error_type, count(*) FROM buslog.log GROUP BY 1, 2, 3 ORDER BY 1"
        ).fetchall()
    assert rows == [("failed", 1, "PayloadRejected", 1), ("succeeded", 1, None, len(said) - 1)]
    judge.kept()


# ── 5: a worker that stalls past its lease ──────────────────────────────────────


def test_a_worker_that_stalls_past_its_lease_has_its_late_outcomes_refused(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    for _ in range(10 if LONG else 1):
        stall_one(fleet, client)
    fleet.drain()
    verdict = judge.kept(reruns_at_most=200)
    assert verdict.reruns > 0, "the stall met no delivery: nothing was shown"
    assert any("stale outcome" in fleet.log(process) for process in fleet.processes)


def stall_one(fleet: Fleet, client: Client) -> None:
    """Stalls the only worker in mid-subscriber until another runs what it held; wakes it while that one does."""
    stalled = fleet.start()
    before = begun(fleet)
    client.say(5, seconds=1.0)
    wait_until(lambda: begun(fleet) >= before + 5)
    stalled.send_signal(signal.SIGSTOP)
    time.sleep(2 * LEASE)
    other = fleet.start()
    wait_until(lambda: begun(fleet, other.pid) >= 5)
    stalled.send_signal(signal.SIGCONT)
    fleet.drain()
    for process in fleet.alive():
        process.send_signal(signal.SIGTERM)
        process.wait(60)


# ── 6: a blocked event loop ─────────────────────────────────────────────────────


def test_a_blocked_event_loop_keeps_its_lease(fleet: Fleet, client: Client, judge: Judge) -> None:
    fleet.start(ready=False)
    fleet.start()
    client.say(4 if LONG else 1, block=2 * LEASE)
    fleet.drain()
    judge.kept(reruns_at_most=0)
    assert set(attempts_of(fleet)) == {1}


# ── 7: rolling restarts under load ──────────────────────────────────────────────


def test_rolling_restarts_under_load_charge_no_attempt_and_run_nothing_twice(
    fleet: Fleet, client: Client, judge: Judge, chance: random.Random
) -> None:
    fleet.start(ready=False, BUSLOG_LEASE="15")  # of which nothing is shown here: a busy machine need not keep it
    fleet.start(BUSLOG_LEASE="15")
    client.flow(60, seconds=0.1)
    for _ in range(50 if LONG else 2):
        time.sleep(chance.uniform(0.1, 0.4))
        leaving = fleet.alive()[0]
        fleet.start(BUSLOG_LEASE="15")
        leaving.send_signal(signal.SIGTERM)
        assert leaving.wait(60) == 0, fleet.log(leaving)
    client.ebb()
    fleet.drain()
    judge.kept(reruns_at_most=0)
    assert set(attempts_of(fleet)) == {1}


def test_a_restart_that_cuts_subscribers_off_releases_them_without_a_charge(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    hasty = fleet.start(BUSLOG_GRACE="0.2")
    client.say(5, seconds=1.5)
    wait_until(lambda: begun(fleet) == 5)
    hasty.send_signal(signal.SIGTERM)
    assert hasty.wait(60) == 0, fleet.log(hasty)
    fleet.start()
    fleet.drain()
    judge.kept(reruns_at_most=5)
    assert set(attempts_of(fleet)) == {1}


# ── and after all of it ─────────────────────────────────────────────────────────


def test_a_replay_after_a_fault_leaves_the_history_intact(
    fleet: Fleet, client: Client, judge: Judge, tmp_path: Path
) -> None:
    client.say(3, raises=MAX_ATTEMPTS)
    client.say(3, name="chain", raises=1)
    fleet.start()
    fleet.drain()
    before = history(fleet.dsn)
    replayed = fleet.replay("failed")
    assert replayed == 3
    victim = fleet.alive()[0]
    in_flight = fleet.kill(victim)
    fleet.start()
    fleet.drain()
    after = history(fleet.dsn)
    assert before < after, "what was written is as it was, and there is more"
    verdict = judge.kept(reruns_at_most=in_flight)
    assert verdict.states == {"failed": 3, "succeeded": 9}
