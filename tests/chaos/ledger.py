"""Files outside the database: what was said and what ran. A line is on the disk before `note` returns, so it
survives a kill. Times are `time.monotonic()`: one clock for all processes of a machine, which no test shifts.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Said:
    """invoked, then ok, unknown or refused. `message` is known of what was ok."""

    what: str
    token: str
    name: str
    message: UUID | None = None
    error: str = ""


@dataclass(frozen=True)
class Ran:
    """start or end of one attempt."""

    what: str
    message: UUID
    subscription: str
    generation: int
    attempt: int
    pid: int
    at: float
    token: str

    @property
    def delivery(self) -> tuple[UUID, str, int]:
        return self.message, self.subscription, self.generation


def note(file: Path | str, *fields: Any) -> None:
    """One line of JSON."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, (json.dumps(fields) + "\n").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def note_run(file: Path | str, what: str, message: Any) -> None:
    """The start or the end of an attempt, as its subscriber sees it."""
    note(
        file, what, str(message.id), message.subscription, message.generation, message.attempt, os.getpid(),
        time.monotonic(), message.payload.get("token", ""),
    )  # fmt: skip


def read_said(file: Path) -> list[Said]:
    return [
        Said(what, token, name, UUID(message) if message else None, error)
        for what, token, name, message, error in _lines(file)
    ]


def read_runs(file: Path) -> list[Ran]:
    return [Ran(line[0], UUID(line[1]), *line[2:]) for line in _lines(file)]


def _lines(file: Path) -> list[list[Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
