"""Real worker processes, started by the real command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Workers:
    """Worker processes on one database."""

    def __init__(self, dsn: str, notes: Path) -> None:
        self.notes_file = notes
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BUSLOG_")},
            "BUSLOG_DSN": dsn, "BUSLOG_LEASE": "2", "BUSLOG_POLL": "0.2", "BUSLOG_GRACE": "10", "NOTES": str(notes),
        }  # fmt: skip
        self.started: list[subprocess.Popen[str]] = []

    def start(self, module: str = "tests.acceptance.app:bus") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "buslog", "worker", module],
            cwd=ROOT, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.started.append(process)
        return process

    def notes(self) -> list[list[Any]]:
        """(start | end, message, subscription, attempt, pid, time), in the order they were written."""
        return (
            [json.loads(line) for line in self.notes_file.read_text().splitlines()] if self.notes_file.exists() else []
        )

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


@pytest.fixture
def workers(dsn: str, tmp_path: Path) -> Iterator[Workers]:
    running = Workers(dsn, tmp_path / "notes")
    yield running
    running.stop()


def wait_until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    """Fails with what the condition was last."""
    give_up_at = time.monotonic() + seconds
    while not (last := condition()):
        assert time.monotonic() < give_up_at, f"still {last!r} after {seconds} s"
        time.sleep(0.05)
