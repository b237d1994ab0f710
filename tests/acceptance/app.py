"""A small application for real worker processes: each run is noted in a file outside the database."""

from __future__ import annotations

import asyncio
import json
import os
import time

from buslog import Bus, Message, RetryPolicy

bus = Bus()
QUICK = RetryPolicy(max_attempts=5, first_delay=0.2, factor=1.5)


def note(message: Message, what: str) -> None:
    """One line, on the disk before it returns: it survives a kill."""
    line = json.dumps([what, str(message.id), message.subscription, message.attempt, os.getpid(), time.time()]) + "\n"
    descriptor = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line.encode())
    os.fsync(descriptor)
    os.close(descriptor)


@bus.on("departed", id="slow", retry=QUICK)
async def slow(message: Message) -> None:
    """Long enough to be killed in the middle of it."""
    note(message, "start")
    await asyncio.sleep(float(message.payload.get("seconds", 0.02)))
    note(message, "end")


@bus.on("departed", id="emits")
async def emits(message: Message) -> None:
    """What it says in turn joins the thread."""
    await bus.emit("told", {"shipmentId": message.key})


@bus.on("told", id="plain")
def plain(message: Message) -> str:
    """A plain function, in a thread."""
    return f"told {message.key}"


@bus.command("resync", id="resync")
async def resync(message: Message) -> dict[str, str | None]:
    """Answers."""
    return {"resynced": message.key}
