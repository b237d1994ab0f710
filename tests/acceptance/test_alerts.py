"""Alerts by real processes: who looks when two could, who looks on when one is killed, where only a dashboard is."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from buslog import db
from buslog.alerting.model import Rule, RuleKind
from buslog.alerts import Alerts
from buslog.desk import Actor
from tests.ports import free_port
from tests.receivers import Received, http_receiver

from .conftest import ROOT, wait_until

SECRET = "s3cret-token"


@pytest.fixture
def receiver() -> Iterator[Received]:
    with http_receiver() as received:
        yield received


class Processes:
    def __init__(self, dsn: str, receiver: Received, folder: Path) -> None:
        self.dsn = dsn
        self._logs = folder
        self.started: list[subprocess.Popen[bytes]] = []
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BUSLOG_")},
            "BUSLOG_DSN": dsn, "BUSLOG_LEASE": "2", "BUSLOG_POLL": "0.2", "BUSLOG_ALERT_EVERY": "0.2",
            "BUSLOG_ALERT_CHANNELS": f"ops=json://user:{SECRET}@{receiver.address}/{SECRET}",
            "BUSLOG_DASHBOARD_URL": "https://bus.example", "NOTES": os.devnull,
        }  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._logs / f"{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "buslog", *arguments], cwd=ROOT, env=self.env, stdout=log, stderr=log
            )
        self.started.append(process)
        return process

    def looker(self) -> int | None:
        """The process that looked last."""
        with db.connect(self.dsn) as connection:
            row = connection.execute("SELECT checked_by FROM buslog.alert_watch WHERE checked_by <> ''").fetchone()
        return int(row[0].rpartition(":")[2]) if row else None

    def stop(self) -> None:
        for process in self.started:
            process.send_signal(signal.SIGTERM)
        for process in self.started:
            process.wait(timeout=60)

    @property
    def logs(self) -> str:
        return "".join(file.read_text() for file in self._logs.glob("*.log"))


@pytest.fixture
def processes(dsn18: str, receiver: Received, tmp_path: Path) -> Iterator[Processes]:
    running = Processes(dsn18, receiver, tmp_path)
    yield running
    running.stop()
    assert SECRET not in running.logs
    assert "Traceback" not in running.logs


def rule(dsn: str, kind: RuleKind, threshold: float = 0.0) -> None:
    made = Rule("the rule", kind, threshold, channels=("ops",), window=timedelta(minutes=1))
    Alerts(dsn, Actor("local:tester", "cli")).set_rule(made)


def test_of_two_processes_one_looks_and_when_it_is_killed_the_other_does_and_nothing_is_told_twice(
    processes: Processes, receiver: Received
) -> None:
    rule(processes.dsn, RuleKind.NO_WORKER, 1)
    workers = [processes.start("worker", "tests.acceptance.app:bus") for _ in range(2)]
    pids = {process.pid for process in workers}
    wait_until(lambda: processes.logs.count("The worker runs") == 2)
    wait_until(lambda: processes.looker() in pids)
    first = processes.looker()
    seen = set()
    for _ in range(10):
        seen.add(processes.looker())
        time.sleep(0.1)
    assert seen == {first}, "one of the two, and always the same"
    (killed,) = [process for process in workers if process.pid == first]
    killed.send_signal(signal.SIGKILL)
    wait_until(lambda: processes.looker() in pids - {first})
    # And when the last one goes, a dashboard alone tells of it.
    port = free_port()
    dashboard = processes.start("dashboard", "--port", str(port))
    (last,) = [process for process in workers if process.pid != first]
    wait_until(lambda: '"url"' in processes.logs or f":{port}" in processes.logs or _answers(port))
    last.send_signal(signal.SIGKILL)
    wait_until(lambda: receiver.titles)
    assert processes.looker() == dashboard.pid
    third = processes.start("worker", "tests.acceptance.app:bus")
    wait_until(lambda: len(receiver.titles) == 2)
    assert third.poll() is None
    time.sleep(0.5)
    assert receiver.titles == ["buslog: the rule fires", "buslog: the rule is over"]
    assert re.search(r"No live worker is running, for \d+ s", receiver.documents[0]["message"])
    assert receiver.documents[0]["message"].endswith("https://bus.example/")
    assert {path.rpartition("/")[2] for path in receiver.paths} == {SECRET}


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
