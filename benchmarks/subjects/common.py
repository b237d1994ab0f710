"""What every Python subject shares. Standard library only: it runs in each peer's own environment.

A subject is a script: `python on_SUBJECT.py VERB OPTIONS`, options as one JSON object. It prints its answer as the last
line, one JSON object. Verbs:

prepare   make the schema in an empty database
emit      `callers` emit one message after another for `seconds`           → rate (messages a second)
bulk      one caller emits `size` messages a call for `seconds`            → rate
fill      put `count` messages on the bus, untimed
drain     one worker ends `count` waiting deliveries                       → rate, first start to last settle
receive   a worker takes `count` deliveries; says `ready` when it listens  → latencies in ms, emit to start
send      emit `count` messages, `gap` seconds apart on the average
local     the same, with the subscriber in the emitting process            → latencies in ms
serve     a dashboard on `port`; says `ready` when it answers
fail      put `count` failed ones into the dashboard's queue, untimed
work      a no-op worker; says `ready` when it listens                     → ended: clock in ns after `count` of them
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
import time

NAME = "shipmentDeparted"
SUBSCRIPTION = "bench:react"
CONNECTIONS = 20  # of each subject that has a pool
BATCH = 100  # what a worker may take at once, where it can be told
SETTLE_LIMIT = 60.0  # seconds from the last execution to the last settle, at most
START_LIMIT = 50.0  # seconds until a server answers
WARM_LOOKS = 3
SENT = "sent"


def payload(number: int = 0) -> dict:
    """A track-and-trace event of about 330 bytes, stamped with the machine's monotonic clock in ns."""
    return {
        "shipmentId": f"S-{number:08d}",
        SENT: time.monotonic_ns(),
        "event": {
            "eventType": "TRANSPORT",
            "eventClassifierCode": "ACT",
            "transportEventTypeCode": "DEPA",
            "eventDateTime": "2026-03-14T08:30:00+01:00",
            "transportCall": {
                "UNLocationCode": "NLRTM",
                "facilityCode": "APMII",
                "modeOfTransport": "VESSEL",
                "vessel": {"vesselIMONumber": "9321483", "vesselName": "EMMA MAERSK"},
            },
        },
    }


def since(sent_ns: int) -> float:
    """Milliseconds since a message's stamp; the clock is one for all processes of the machine."""
    return (time.monotonic_ns() - sent_ns) / 1e6


def answer(**values) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def become_server(command: list, port: int, **environment: str) -> None:
    """Says `ready` once something answers on the port, and is the command from then on: its process is this one's."""
    if os.fork():
        os.environ.update(environment)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads what a server prints
        os.execvp(command[0], command)
    give_up_at = time.monotonic() + START_LIMIT
    while time.monotonic() < give_up_at:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            say_ready()
            break
    os._exit(0)


def leave() -> None:
    """Ends a worker whose measurement is over, whatever it is doing."""
    sys.stdout.flush()
    os._exit(0)


async def measure_rate(emit, options: dict, each: int = 1) -> None:
    """Answers with the rate of `callers` that await one `emit()` after another; `each` messages a call."""
    count = 0
    going = True

    async def caller() -> None:
        nonlocal count
        while going:
            await emit()
            count += each

    callers = [asyncio.create_task(caller()) for _ in range(options.get("callers", 1))]
    await asyncio.sleep(options["warm"])
    before, began = count, time.monotonic()
    await asyncio.sleep(options["seconds"])
    rate = (count - before) / (time.monotonic() - began)
    going = False
    await asyncio.gather(*callers)
    answer(rate=rate)


def in_turn(looks: dict, times: int) -> dict:
    """Milliseconds of each look, `times` over; they take turns, after a few of each that do not count."""
    found: dict = {name: [] for name in looks}
    for turn in range(times + WARM_LOOKS):
        for name, look in looks.items():
            began = time.perf_counter()
            look()
            if turn >= WARM_LOOKS:
                found[name].append((time.perf_counter() - began) * 1000)
    return found


async def at_random(count: int, gap: float, send) -> None:
    """Await `send(number)` `count` times, at random moments, so that no poll can fall into step with them."""
    for number in range(count):
        await asyncio.sleep(random.uniform(0.5, 1.5) * gap)
        await send(number)


class Drain:
    """The clock of `drain`: starts with the first execution. `settled` says when the last outcome is recorded."""

    def __init__(self, count: int, settled=None) -> None:
        self.count = count
        self.settled = settled
        self.done = 0
        self.began = 0.0
        self.executed = asyncio.Event()

    def tick(self) -> bool:
        """One execution; true on the last one."""
        if not self.done:
            self.began = time.monotonic()
        self.done += 1
        if self.done == self.count:
            self.executed.set()
            return True
        return False

    def rate(self) -> float:
        return self.count / (time.monotonic() - self.began)

    async def finish(self) -> None:
        """Waits for the last settle, answers, and leaves."""
        await self.executed.wait()
        give_up_at = time.monotonic() + SETTLE_LIMIT
        while not await self.settled():
            if time.monotonic() > give_up_at:
                raise TimeoutError("what was executed is not settled")
            await asyncio.sleep(0.002)
        answer(rate=self.rate())
        leave()


class Latencies:
    """What `receive` collects; answers and leaves when it has `count`."""

    def __init__(self, count: int, leaving: bool = True) -> None:
        self.count = count
        self.leaving = leaving
        self.found: list[float] = []

    def take(self, sent_ns: int) -> None:
        self.found.append(since(sent_ns))
        if self.leaving and len(self.found) == self.count:
            answer(latencies=self.found)
            leave()


def run(verbs: dict) -> None:
    """The script's main: verbs are coroutine functions or plain ones, each given its options."""
    verb, options = sys.argv[1], json.loads(sys.argv[2])
    outcome = verbs[verb](options)
    if asyncio.iscoroutine(outcome):
        asyncio.run(outcome)
