"""Before the checker is trusted: it passes what is sound, and catches each promise broken, by hand and by known-bad
variants of the bus.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, LiteralString

import pytest

from buslog import db

from .app import MAX_ATTEMPTS
from .checker import Verdict, kept
from .client import Client
from .conftest import Judge
from .fleet import Fleet, wait_until
from .ledger import note, read_runs
from .test_workers import begun_of_killers, stall_one

BAD = Path(__file__).with_name("bad")


def worsen(fleet: Fleet, variant: str) -> None:
    """Make the test's own database a known-bad variant."""
    with db.connect(fleet.dsn) as connection:
        connection.execute((BAD / f"{variant}.sql").read_text())


def test_without_the_fence_a_stalled_worker_s_outcome_is_taken_and_the_checker_sees_it(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    worsen(fleet, "no_fence")
    stall_one(fleet, client)
    assert "stale" in judge.look().broken()


def test_with_attempts_counted_at_settle_a_killer_runs_for_ever_and_the_checker_sees_it(
    fleet: Fleet, client: Client, judge: Judge
) -> None:
    worsen(fleet, "attempt_at_settle")
    client.say(exit=True)

    def has_run_too_often() -> bool:
        if not fleet.alive():
            fleet.start(ready=False)
        return begun_of_killers(fleet) > MAX_ATTEMPTS

    wait_until(has_run_too_often, 240)
    broken = judge.look().broken()
    assert "overrun" in broken
    assert "unfinished" in broken


# ── broken by hand ──────────────────────────────────────────────────────────────


def sql(statement: LiteralString) -> Callable[[Fleet, Path], None]:
    def change(fleet: Fleet, said_file: Path) -> None:
        with db.connect(fleet.dsn) as connection:
            connection.execute(statement)

    return change


def runs_without(what: str) -> Callable[[Fleet, Path], None]:
    def change(fleet: Fleet, said_file: Path) -> None:
        lines = [line for line in fleet.runs_file.read_text().splitlines() if json.loads(line)[0] != what]
        fleet.runs_file.write_text("".join(f"{line}\n" for line in lines))

    return change


def start_over_and_over(fleet: Fleet, said_file: Path) -> None:
    first = next(run for run in read_runs(fleet.runs_file) if run.what == "start")
    for _ in range(MAX_ATTEMPTS):
        note(fleet.runs_file, "start", str(first.message), *list(vars(first).values())[2:])


def say_ok(fleet: Fleet, said_file: Path) -> None:
    note(said_file, "ok", "never stored", "work", str(uuid.uuid4()), "")


def forget_what_was_said(fleet: Fleet, said_file: Path) -> None:
    said_file.write_text("")


BREACHES: dict[str, tuple[str, Callable[[Fleet, Path], Any]]] = {
    "a confirmed emit is not there": ("lost", say_ok),
    "a message lacks a delivery": ("lost", sql("DELETE FROM buslog.ended_deliveries")),
    "a success never ran to its end": ("lost", runs_without("end")),
    "nobody said it": ("unexpected", forget_what_was_said),
    "it ran and is not in the log": ("unexpected", sql("DELETE FROM buslog.messages")),
    "it is open still": (
        "unfinished",
        sql("""WITH gone AS (DELETE FROM buslog.ended_deliveries RETURNING *)
               INSERT INTO buslog.deliveries (message_id, subscription_id, state, ready_seq)
               SELECT message_id, subscription_id, 'pending', 1 FROM gone"""),
    ),
    "it ended and is open": (
        "unfinished",
        sql("""INSERT INTO buslog.deliveries (message_id, subscription_id, state, ready_seq)
               SELECT message_id, subscription_id, 'pending', 1 FROM buslog.ended_deliveries"""),
    ),
    "it ended twice": (
        "doubled",
        sql("""INSERT INTO buslog.ended_deliveries
                   (message_id, subscription_id, generation, attempts, repeats, state, finished_at, worker, result)
               SELECT message_id, subscription_id, 2, attempts, repeats, state, finished_at, worker, result
               FROM buslog.ended_deliveries"""),
    ),
    "a generation is missing": ("gaps", sql("UPDATE buslog.ended_deliveries SET generation = 2")),
    "the accepted attempt is another": ("stale", sql("UPDATE buslog.ended_deliveries SET attempts = 2")),
    "the accepted worker is another": ("stale", sql("UPDATE buslog.ended_deliveries SET worker = 'host:1'")),
    "too many attempts": ("overrun", start_over_and_over),
}


def test_the_checker_passes_what_is_sound(fleet: Fleet, client: Client, judge: Judge) -> None:
    fleet.start()
    client.say(3)
    client.say(name="chain", raises=1)
    fleet.drain()
    verdict = judge.kept()
    assert verdict.said == {"invoked": 4, "ok": 4}
    assert verdict.states == {"succeeded": 6}
    with pytest.raises(AssertionError, match="1 reruns"):
        kept(Verdict(reruns=1))


def test_the_checker_sees_each_promise_that_is_broken(
    fleet: Fleet, client: Client, judge: Judge, said_file: Path
) -> None:
    fleet.start()
    client.say(2)
    fleet.drain()
    judge.kept()
    fleet.stop()
    files = {file: file.read_text() for file in (said_file, fleet.runs_file)}
    for breach, (kind, make) in BREACHES.items():
        with db.connect(fleet.dsn) as connection:
            connection.execute("CREATE SCHEMA kept; CREATE TABLE kept.messages AS SELECT * FROM buslog.messages;"
                               "CREATE TABLE kept.ended AS SELECT * FROM buslog.ended_deliveries")  # fmt: skip
        make(fleet, said_file)
        assert kind in judge.look().broken(), breach
        with db.connect(fleet.dsn) as connection:
            connection.execute(
                "DELETE FROM buslog.deliveries; DELETE FROM buslog.ended_deliveries; DELETE FROM buslog.messages;"
                "INSERT INTO buslog.messages SELECT * FROM kept.messages;"
                "INSERT INTO buslog.ended_deliveries SELECT * FROM kept.ended; DROP SCHEMA kept CASCADE"
            )
        for file, text in files.items():
            file.write_text(text)
    judge.kept()
