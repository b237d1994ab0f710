"""Real worker processes, started by the real command line, that are killed, frozen and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from buslog import db
from buslog.desk import Actor
from buslog.message import DeliveryRef
from buslog.operations import Operations
from buslog.store import Store

from .app import bus

ROOT = Path(__file__).parents[2]
LONG = os.environ.get("CHAOS") == "long"  # `make chaos`
LEASE, POLL = 2.0, 0.2  # seconds
COME_UP = 120.0  # seconds that a process has to come up, or to refuse: one, but beside much other work over thirty
# Seconds that a busy machine may take besides: how soon something comes to pass, the long form judges.
BUSY = 2.0 if LONG else 15.0

Process = subprocess.Popen[bytes]


class Fleet:
    """Worker processes on one database; their logs and the file of their runs lie in `folder`."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self.folder = folder
        self.runs_file = folder / "runs"
        self.processes: list[Process] = []
        self._logs: dict[int, Path] = {}

    def register(self) -> None:
        """The subscriptions are known before anything is said: nothing is unrouted."""

        async def registered() -> None:
            store = Store(self.dsn)
            await store.open()
            for subscription in bus._registry:
                await store.register(subscription, "")
            await store.close()

        asyncio.run(registered())

    def start(self, *, dsn: str = "", before: Sequence[str] = (), ready: bool = True, **environment: str) -> Process:
        """One more worker. before: a command to run it under. environment: more of it, BUSLOG_… included."""
        log = self.folder / f"worker-{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", "buslog", "worker", "tests.chaos.app:bus"],
                cwd=ROOT, env=self.environment(dsn or self.dsn, environment), stdout=output, stderr=output,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self.processes.append(process)
        self._logs[process.pid] = log
        if ready:
            self.ready()
        return process

    def ready(self) -> None:
        """Wait until every worker works, or has ended."""
        wait_until(lambda: len(self.working()) == len(self.alive()), COME_UP)

    def environment(self, dsn: str, more: Mapping[str, str]) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("BUSLOG_", "CHAOS_"))}
        return {
            **own, "BUSLOG_DSN": dsn, "BUSLOG_LEASE": str(LEASE), "BUSLOG_POLL": str(POLL), "BUSLOG_GRACE": "10",
            "BUSLOG_CONCURRENCY": "10", "CHAOS_RUNS": str(self.runs_file), "PYTHONUNBUFFERED": "1", **more,
        }  # fmt: skip

    def log(self, process: Process) -> str:
        """What a worker has said so far."""
        return self._logs[process.pid].read_text(errors="replace")

    def alive(self) -> list[Process]:
        return [process for process in self.processes if process.poll() is None]

    def working(self) -> list[Process]:
        """Those that are alive and have come up."""
        return [process for process in self.alive() if "The worker runs" in self.log(process)]

    def kill(self, process: Process) -> int:
        """kill -9; returns how many deliveries it held."""
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.05)  # a claim that the server still carries out counts as in flight
        return self.held(process)

    def retire(self, process: Process) -> None:
        """SIGTERM; fails unless it leaves well."""
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, self.log(process)

    def held(self, process: Process) -> int:
        """How many deliveries the database holds as running under a worker, retired or not."""
        with db.connect(self.dsn) as connection:
            row = connection.execute(
                """SELECT count(*) FROM buslog.deliveries d JOIN buslog.workers w ON w.id = d.worker_id
                   WHERE d.state = 'running' AND w.worker LIKE %s""", [f"%:{process.pid}"],
            ).fetchone()  # fmt: skip
        return int(row[0]) if row else 0

    def running(self) -> int:
        """How many deliveries run, under all workers."""
        with db.connect(self.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM buslog.deliveries WHERE state = 'running'").fetchone()
        return int(row[0]) if row else 0

    def drain(self, seconds: float = 60.0, *, at_most: int = 0) -> None:
        """Wait until nothing is open, but for `at_most` deliveries."""
        wait_until(
            lambda: self.open_deliveries() <= at_most,
            seconds,
            lambda: f"{self.open_deliveries()} deliveries are still open",
        )

    def open_deliveries(self) -> int:
        with db.connect(self.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM buslog.deliveries").fetchone()
        return int(row[0]) if row else 0

    def replay(self, state: str) -> int:
        """Replays every delivery that ended so; returns how many."""
        with db.connect(self.dsn) as connection:
            rows = connection.execute(
                "SELECT message_id, subscription FROM buslog.log WHERE state = %s", [state]
            ).fetchall()  # fmt: skip
        refs = [DeliveryRef(message, subscription) for message, subscription in rows]
        return len(Operations(self.dsn, Actor("local:chaos", "cli")).replay(refs, reason="after the fault"))

    def stop(self) -> None:
        for process in self.alive():
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until(
    condition: Callable[[], Any], seconds: float = 60.0, tell: Callable[[], str] = lambda: "not yet so"
) -> None:
    """Fails with what `tell` says."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, f"{tell()} after {seconds} s"
        time.sleep(0.03)
