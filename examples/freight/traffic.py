"""`python -m examples.freight.traffic`: carriers, customers and mail servers around the example, until Ctrl-C.

Beside the freight worker it makes a trickle of live traffic, some of it failing for believable reasons.
"""

import asyncio
import random
import signal
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from buslog import Bus, BuslogError
from buslog.config import Settings
from buslog.db import Database
from buslog.errors import DatabaseUnavailable
from buslog.filter import Filter
from buslog.insights import Insights
from examples.freight.outside import Carrier, MailServer, pause
from examples.freight.shared import CARRIER_PORT, SMTP_PORT
from examples.freight.voyages import STEPS, told_now, voyage, with_malformed_port

FIRST_NUMBER = 1001
AFLOAT = 12  # shipments under way at once
PAUSE = (0.8, 2.2)  # seconds between two messages
BURST = 8  # messages at once, every now and then
OPENING = 25  # messages on an empty log, so that there is something to look at
PATIENCE = 2.0  # seconds for a sync subscriber; on Ctrl-C the worker leaves too, and nobody would answer
BAD_MOMENTS = {"carrier": (100, 35), "mail": (120, 40)}  # every … seconds, for … seconds
SLOW_SHIPMENTS = ("7", "8", "9")  # numbers that end so are kept in the carrier's old system
CAREFUL_MAILBOX = "import@harbour.example"
CHANCE = {"burst": 0.04, "malformed port": 0.03, "the carrier only rings": 0.12}


@dataclass
class UnderWay:
    """A shipment, the version of the standard its carrier speaks, and how many of its events were told."""

    shipment_id: str
    version: str
    told: int = 0


class Story:
    """Shipments that move on, step by step: asked for, confirmed, gate in, loaded, departed, arrived, delivered."""

    def __init__(self, next_number: int) -> None:
        self._next_number = next_number
        self._under_way: list[UnderWay] = []

    def next_message(self) -> tuple[str, dict[str, Any]]:
        """What is said next: a name and a payload."""
        if len(self._under_way) < AFLOAT and (not self._under_way or random.random() < 1 / STEPS):  # noqa: S311
            return self._ask_for_booking()
        moving = random.choice(self._under_way)  # noqa: S311
        if _happens("the carrier only rings"):
            return "trackingReceived", {"shipmentId": moving.shipment_id}
        event = told_now(voyage(moving.shipment_id, moving.version)[moving.told])
        if _happens("malformed port"):
            return "trackingReceived", {"shipmentId": moving.shipment_id, "event": with_malformed_port(event)}
        moving.told += 1
        if moving.told == STEPS:
            self._under_way.remove(moving)
        return "trackingReceived", {"shipmentId": moving.shipment_id, "event": event}

    def events_so_far(self, shipment_id: str) -> list[dict[str, Any]]:
        """What the carrier answers when asked. Of a shipment that is not under way, it knows the whole voyage."""
        told = next((one.told for one in self._under_way if one.shipment_id == shipment_id), STEPS)
        return voyage(shipment_id, "3.0")[: max(told, 1)]

    def _ask_for_booking(self) -> tuple[str, dict[str, Any]]:
        shipment_id = f"S-{self._next_number}"
        self._next_number += 1
        self._under_way.append(UnderWay(shipment_id, random.choice(("2.2", "3.0"))))  # noqa: S311
        return "bookingRequestAsked", {"shipmentId": shipment_id}


def _happens(what: str) -> bool:
    return random.random() < CHANCE[what]  # noqa: S311  (a story, not a secret)


def _is_bad_moment(of: str) -> bool:
    every, lasts = BAD_MOMENTS[of]
    return time.time() % every < lasts


def carrier_delay(shipment_id: str) -> float:
    """Seconds until the carrier answers: for some shipments, in its bad moments, more than anybody waits."""
    if shipment_id.endswith(SLOW_SHIPMENTS) and _is_bad_moment("carrier"):
        return 10.0
    return random.uniform(0.05, 0.3)  # noqa: S311


def mail_refused(recipient: str) -> bool:
    """One customer's mailbox takes no mail for a while; later it does."""
    return recipient == CAREFUL_MAILBOX and _is_bad_moment("mail")


async def tell(bus: Bus, story: Story, messages: int) -> None:
    """Emit a few messages; while the database is away, the world goes on untold."""
    said = [bus.emit(*story.next_message()) for _ in range(messages)]
    for told in await asyncio.gather(*said, return_exceptions=True):
        if isinstance(told, BaseException) and not isinstance(told, BuslogError | ExceptionGroup):
            raise told


async def hosted(insights: Insights, stop: asyncio.Event) -> None:
    """Wait until a worker hosts the example: what is said before reaches nobody."""
    while not stop.is_set():
        with suppress(BuslogError):
            commands = await asyncio.to_thread(insights.commands)
            if any(command.name == "resyncTracking" and command.is_hosted for command in commands):
                return
        await pause(stop, 0.5)


def last_number(insights: Insights) -> int | None:
    """The number of the last shipment in the log; None when there is none."""
    rows = insights.page(Filter(names=("bookingRequestAsked",))).rows
    numbers = [int(row.key[2:]) for row in rows if row.key and row.key.startswith("S-") and row.key[2:].isdecimal()]
    return max((number for number in numbers if number >= FIRST_NUMBER), default=None)


async def run(stop: asyncio.Event) -> None:
    """The world turns until `stop` is set. Raises OSError when a port is taken, BuslogError without a database."""
    async with AsyncExitStack() as stack:
        database = stack.enter_context(Database())
        bus = await stack.enter_async_context(Bus(host=False, settings=Settings(sync_wait=PATIENCE, grace=PATIENCE)))
        insights = Insights(database.dsn)
        stack.callback(insights.close)
        last = await asyncio.to_thread(last_number, insights)
        story = Story(FIRST_NUMBER if last is None else last + 1)
        await stack.enter_async_context(Carrier(story.events_so_far, carrier_delay).listening(CARRIER_PORT))
        await stack.enter_async_context(MailServer(mail_refused).listening(SMTP_PORT))
        print(f"Freight traffic: carrier on 127.0.0.1:{CARRIER_PORT}, mail server on 127.0.0.1:{SMTP_PORT}", flush=True)  # noqa: T201
        await hosted(insights, stop)
        if last is None:
            await tell(bus, story, OPENING)
        while not stop.is_set():
            await tell(bus, story, BURST if _happens("burst") else 1)
            await pause(stop, random.uniform(*PAUSE))  # noqa: S311


async def main() -> int:
    """Runs until SIGINT or SIGTERM. Exit code 0; 2 for settings that cannot work, 1 for a database that is away."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    try:
        await run(stop)
    except OSError as error:
        ports = "FREIGHT_CARRIER_PORT and FREIGHT_SMTP_PORT"
        print(f"freight traffic: {error.strerror}. Choose other ports with {ports}.", file=sys.stderr)  # noqa: T201
        return 2
    except BuslogError as error:
        print(f"freight traffic: {error}", file=sys.stderr)  # noqa: T201
        return 1 if isinstance(error, DatabaseUnavailable) else 2
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
