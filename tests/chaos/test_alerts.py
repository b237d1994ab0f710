"""A process that looks at the alert rules and stands still: another looks on, and nobody is told twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from buslog import db
from buslog.alerting.model import Rule, RuleKind
from buslog.alerts import Alerts
from buslog.desk import Actor
from tests.receivers import Received, http_receiver

from .app import MAX_ATTEMPTS
from .client import Client
from .fleet import BUSY, Fleet, Process, wait_until

EVERY, STANDSTILL = 0.2, 2  # seconds


@pytest.fixture
def receiver() -> Iterator[Received]:
    with http_receiver() as received:
        yield received


def rule(fleet: Fleet, name: str) -> None:
    made = Rule(name, RuleKind.FAILURE_RATE, 0.1, at_least=1, window=timedelta(hours=1), channels=("ops",))
    Alerts(fleet.dsn, Actor("local:chaos", "cli")).set_rule(made)


def looks(fleet: Fleet, *, beside: Process | None = None) -> Process | None:
    """The process that has looked within the last second."""
    with db.connect(fleet.dsn) as connection:
        row = connection.execute(
            "SELECT checked_by FROM buslog.alert_watch WHERE checked_at > clock_timestamp() - interval '1 second'"
        ).fetchone()
    pid = int(row[0].rpartition(":")[2]) if row else None
    return next((process for process in fleet.alive() if process.pid == pid and process is not beside), None)


def who_looks(fleet: Fleet, seconds: float = 60.0, *, beside: Process | None = None) -> Process:
    """The same once there is one: a busy machine takes its time over a look."""
    found: list[Process | None] = [None]

    def look() -> bool:
        found[0] = looks(fleet, beside=beside)
        return found[0] is not None

    wait_until(look, seconds)
    assert found[0] is not None
    return found[0]


def stand_still_between_two_looks(fleet: Fleet, looking: Process) -> None:
    looking.send_signal(signal.SIGSTOP)


def stand_still_in_a_look(fleet: Fleet, looking: Process) -> None:
    """Its transaction stays open, with a row that every look locks."""
    waiting = """SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
                 AND query LIKE '%alert_rule_states%'"""
    with db.connect(fleet.dsn) as other, other.transaction():
        other.execute("LOCK TABLE buslog.alert_rule_states IN ACCESS EXCLUSIVE MODE")
        with db.connect(fleet.dsn) as watching:
            wait_until(lambda: watching.execute(waiting).fetchone())
        looking.send_signal(signal.SIGSTOP)


@pytest.mark.parametrize("stand_still", [stand_still_between_two_looks, stand_still_in_a_look], ids=["between", "in"])
def test_when_the_process_that_looks_at_the_alerts_stands_still_another_does_and_nothing_is_told_twice(
    fleet: Fleet, client: Client, receiver: Received, stand_still: Callable[[Fleet, Process], None]
) -> None:
    environment = {
        "BUSLOG_ALERT_EVERY": str(EVERY), "CHAOS_STANDSTILL": str(STANDSTILL),
        "BUSLOG_ALERT_CHANNELS": f"ops=json://{receiver.address}/",
    }  # fmt: skip
    rule(fleet, "before")
    for _ in range(2):
        fleet.start(**environment, ready=False)
    fleet.ready()
    client.say(raises=MAX_ATTEMPTS)
    wait_until(lambda: receiver.titles)
    stopped = who_looks(fleet)
    stand_still(fleet, stopped)
    try:
        successor = who_looks(fleet, STANDSTILL + 10.0 + BUSY, beside=stopped)
        rule(fleet, "meanwhile")
        wait_until(lambda: len(receiver.titles) == 2)
    finally:
        stopped.send_signal(signal.SIGCONT)
    time.sleep(10 * EVERY)
    assert who_looks(fleet) is successor, "who wakes up finds the lock taken"
    assert sum("before" in title for title in receiver.titles) == 1
    assert sum("meanwhile" in title for title in receiver.titles) == 1
    fleet.retire(successor)
    wait_until(lambda: looks(fleet) is stopped)
