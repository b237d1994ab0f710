"""A PostgreSQL that is shot, stopped and frozen. Everything goes through signals and the server's own tools."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest

from buslog import db
from buslog.errors import BuslogError

from ..conftest import TestServer

TERMINATE: LiteralString = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE %s"""


class Patient(TestServer):
    """What may be done to a server of one's own."""

    def kill_backend(self, dsn: str) -> None:
        """kill -9 one backend that serves a database: the server drops all connections and recovers."""
        with db.connect(dsn) as connection:
            row = connection.execute(
                """SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                   ORDER BY random() LIMIT 1"""
            ).fetchone()
            assert row is not None, "nobody is connected"
            os.kill(row[0], signal.SIGKILL)
            with contextlib.suppress(psycopg.OperationalError):  # it notices in its own time, and drops us too
                connection.execute("SELECT pg_sleep(10)")

    def terminate_backends(self, dsn: str, statement: str = "%") -> int:
        """pg_terminate_backend for all of a database's connections whose last statement is like this."""
        with db.connect(dsn) as connection:
            return connection.execute(TERMINATE, [statement]).rowcount

    def stop_at_once(self) -> None:
        """Without a checkpoint, as if the machine had lost power."""
        self.server._pg_ctl("stop", "-m", "immediate", "-w")

    def restart(self, **environment: str) -> None:
        """Start what was stopped."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            self.server._start(lambda _: None)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """No process of the server moves; its connections stay open."""
        with db.connect(self.dsn) as connection:
            pids = [row[0] for row in connection.execute("SELECT pid FROM pg_stat_activity").fetchall()]
        pids.insert(0, int((self.server.data / "postmaster.pid").read_text().split()[0]))
        signal_all(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            signal_all(pids, signal.SIGCONT)

    def wait_until_it_answers(self, dsn: str, seconds: float = 30) -> None:
        give_up_at = time.monotonic() + seconds
        while True:
            try:
                db.connect(dsn).close()
            except BuslogError:
                assert time.monotonic() < give_up_at, "the server does not come back"
                time.sleep(0.02)
            else:
                return


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
