"""The outside world of the demo: a carrier's API and a mail server on loopback, with their bad moments."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

TOO_FAST = "450 4.2.1 the mailbox receives mail at too high a rate, try again later"


class MailServer:
    """Takes every mail, but for recipients of whom `refuses` is true at that moment."""

    def __init__(self, refuses: Callable[[str], bool]) -> None:
        self.refuses = refuses

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.refuses(address):
            return TOO_FAST
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return "250 OK"

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        """Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self, hostname="mail.example", loop=loop), sock=listening_socket(port)
        )
        async with server:
            yield


class Carrier:
    """Tells the events of a shipment, DCSA 3.0, after `delay` seconds."""

    def __init__(self, events: Callable[[str], list[dict[str, Any]]], delay: Callable[[str], float]) -> None:
        self.events = events
        self.delay = delay
        self._closing = asyncio.Event()

    async def _answer(self, request: Request) -> JSONResponse:
        shipment_id = request.query_params.get("shipmentId", "")
        limit = int(request.query_params.get("limit", "100"))
        await pause(self._closing, self.delay(shipment_id))
        return JSONResponse({"events": self.events(shipment_id)[-limit:]})

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator[None]:
        """Raises OSError when the port is taken."""
        app = Starlette(routes=[Route("/v3/events", self._answer)])
        server = _Quiet(uvicorn.Config(app, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1))
        with listening_socket(port) as opened:
            serving = asyncio.create_task(server.serve(sockets=[opened]))
            try:
                yield
            finally:
                self._closing.set()
                server.should_exit = True
                await serving


class _Quiet(uvicorn.Server):
    """Leaves the signals to the program around it."""

    def capture_signals(self) -> Any:
        return nullcontext()


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not beyond `stop`."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def listening_socket(port: int) -> socket.socket:
    """Bound to loopback. Raises OSError when the port is taken."""
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind(("127.0.0.1", port))
        opened.listen()
    except OSError:
        opened.close()
        raise
    return opened
