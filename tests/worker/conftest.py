"""Buses with quick settings on a test's database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from buslog import Bus, RetryPolicy, db
from buslog.config import Settings

QUICK = RetryPolicy(max_attempts=3, first_delay=0.05, factor=1)


@pytest.fixture
def bus(test_settings: Settings) -> Bus:
    """Not started: a test registers its subscribers first."""
    return Bus(settings=test_settings)


@pytest.fixture
def emitter(test_settings: Settings) -> Bus:
    """A second program that only emits."""
    return Bus(host=False, settings=test_settings)


async def until(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait until something is true; fails with what it was last. The limit is for a machine that is busy otherwise."""
    give_up_at = time.monotonic() + seconds
    while not (last := condition()):
        assert time.monotonic() < give_up_at, f"still {last!r} after {seconds} s"
        await asyncio.sleep(0.01)


def states(connection: db.Connection) -> dict[str, str]:
    """The state of each subscription's delivery (of one message)."""
    return dict(connection.execute("SELECT subscription, state FROM buslog.log").fetchall())


def log_rows(connection: db.Connection, columns: str, name: str) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"SELECT {columns} FROM buslog.log WHERE name = %s ORDER BY message_id, subscription", [name]
    ).fetchall()
