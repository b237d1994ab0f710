"""The freight example with real processes, for tests: its worker, its carrier, its mail server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from buslog import db
from buslog.desk import Actor
from buslog.insights import Insights
from buslog.message import OPEN_STATES
from buslog.operations import Operations
from examples.freight.outside import Carrier, MailServer
from examples.freight.voyages import voyage
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
EVERY_NAME = (
    "trackingReceived", "trackingUpdated", "bookingRequestAsked", "bookingConfirmed", "containerGatedIn",
    "containerLoaded", "shipmentDeparted", "shipmentArrived", "shipmentDelivered", "resyncTracking",
    "EMAIL_SendBookingRequestAskedEmailCommand", "EMAIL_SendShipmentDepartedEmailCommand",
)  # fmt: skip


@dataclass
class Row:
    """A row of `buslog.log`."""

    name: str
    subscription: str | None
    state: str
    attempts: int | None
    error: str | None
    payload: dict[str, Any]


@dataclass
class Freight:
    """The example at work on a test's database, and the world around it."""

    dsn: str
    env: dict[str, str]
    carrier: Carrier
    mail: MailServer

    @property
    def operations(self) -> Operations:
        return Operations(self.dsn, Actor("local:test", "cli"))

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with db.connect(self.dsn) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def emit(self, name: str, payload: dict[str, Any]) -> UUID:
        message_id: UUID = self.sql("SELECT buslog.emit(%s, %s::text::jsonb)", name, json.dumps(payload))[0][0]
        return message_id

    def thread(self, message_id: UUID) -> list[Row]:
        return [Row(*row) for row in self.sql(
            """SELECT name, subscription, state, attempts, last_error, payload::text::json FROM buslog.log
               WHERE correlation_id = %s ORDER BY emitted_at, message_id""", message_id)]  # fmt: skip

    async def ended(self, message_id: UUID, within: float = 60.0) -> list[Row]:
        """The thread of a message once nothing in it is open."""

        def rows() -> list[Row] | None:
            found = self.thread(message_id)
            return found if found and not any(row.state in OPEN_STATES for row in found) else None

        seen: list[Row] = await eventually(rows, within)
        return seen


async def eventually(look: Callable[[], Any], within: float) -> Any:
    """What `look` returns once it is something. In a thread: the outside world shares this loop."""
    give_up_at = time.monotonic() + within
    while not (seen := await asyncio.to_thread(look)):
        assert time.monotonic() < give_up_at, "not within the time allowed"
        await asyncio.sleep(0.1)
    return seen


@contextmanager
def process(*arguments: str, env: dict[str, str], output: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Python process in the repository's root. Stopped at the end, if it still runs."""
    started = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **env}, text=True, stdout=output, stderr=output
    )
    try:
        yield started
        started.terminate()
        started.communicate(timeout=30)
    finally:
        started.kill()
        started.communicate()


@asynccontextmanager
async def running(dsn: str) -> AsyncIterator[Freight]:
    """The worker hosts the example; the carrier answers at once and every mail is taken."""
    carrier = Carrier(lambda shipment_id: voyage(shipment_id, "3.0"), lambda _: 0.0)
    mail = MailServer(lambda _: False)
    carrier_port, mail_port = free_port(), free_port()
    env = {"BUSLOG_DSN": dsn, "FREIGHT_CARRIER_PORT": str(carrier_port), "FREIGHT_SMTP_PORT": str(mail_port)}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(carrier.listening(carrier_port))
        await stack.enter_async_context(mail.listening(mail_port))
        stack.enter_context(process("-m", "buslog", "worker", "examples.freight:bus", env=env))
        insights = Insights(dsn)
        stack.callback(insights.close)
        await eventually(
            lambda: {command.name for command in insights.commands() if command.is_hosted} >= {"resyncTracking"}, 60
        )
        yield Freight(dsn, env, carrier, mail)
