"""The application of the chaos tests. A message's payload says what its subscribers do; each run is noted in a file
outside the database. `worker` processes load it as tests.chaos.app:bus.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from buslog import Bus, Message, RetryPolicy
from buslog.alerting import watch
from buslog.execution import Claimed
from buslog.store import Store

from .ledger import note_run

MAX_ATTEMPTS = 5
QUICK = RetryPolicy(max_attempts=MAX_ATTEMPTS, first_delay=0.05, factor=1.5, max_delay=0.3)
SUBSCRIBERS = {"work": {"work"}, "chain": {"first", "second", "third"}}  # by name; the checker expects each of them
RUNS = os.environ.get("CHAOS_RUNS", "")

if shift := float(os.environ.get("CHAOS_SHIFT_PYTHON", "0")):  # a wrong clock where no compiler makes one
    true_time = time.time
    time.time = lambda: true_time() + shift
if clock := os.environ.get("CHAOS_CLOCK"):
    Path(clock).write_text(str(time.time()))

if standstill := os.environ.get("CHAOS_STANDSTILL"):  # a minute is long for a test
    watch.STANDSTILL = float(standstill)

bus = Bus()


@bus.on("work", id="work", retry=QUICK)
async def work(message: Message) -> dict[str, Any]:
    return await run(message)


@bus.on("chain", id="first", mode="serial", order=1, retry=QUICK)
async def first(message: Message) -> dict[str, Any]:
    return await run(message)


@bus.on("chain", id="second", mode="serial", order=2, retry=QUICK)
async def second(message: Message) -> dict[str, Any]:
    return await run(message)


@bus.on("chain", id="third", mode="serial", order=3, retry=QUICK)
async def third(message: Message) -> dict[str, Any]:
    return await run(message)


async def run(message: Message) -> dict[str, Any]:
    """The result names the attempt it is of: the checker compares it with the attempt it was accepted for."""
    note_run(RUNS, "start", message)
    payload = message.payload
    if payload.get("exit"):
        os._exit(3)
    if message.attempt <= payload.get("raises", 0):
        raise ValueError(f"attempt {message.attempt} is to raise")
    if "block" in payload:
        time.sleep(payload["block"])  # the fault: a blocked event loop
    await asyncio.sleep(payload.get("seconds", 0.0))
    note_run(RUNS, "end", message)
    if payload.get("dies_after_effect") and _once(f"effect-{message.id}"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"attempt": message.attempt, "pid": os.getpid()}


def _once(what: str) -> bool:
    """True for the first caller of all processes."""
    try:
        Path(f"{RUNS}.{what}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


claim = Store.claim


async def claim_and_die(self: Store, *arguments: Any) -> list[Claimed]:
    """A crash point: the claim is committed, nothing of it has started. Once for all processes."""
    claimed = await claim(self, *arguments)
    if claimed and _once("claimed"):
        os.kill(os.getpid(), signal.SIGKILL)
    return claimed


if os.environ.get("CHAOS_DIE_AFTER_CLAIM"):
    Store.claim = claim_and_die  # type: ignore[method-assign, assignment]
