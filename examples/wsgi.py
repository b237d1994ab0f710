"""A program without an event loop: a WSGI application that says what happened, and hosts who reacts.

    python -m examples.wsgi          # then: curl -d S-42 http://127.0.0.1:8000/departed

Flask and Django do the same in their views. A server that forks (gunicorn, uWSGI) may import this module before that:
the bus starts in each worker, at its first request, and stops with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.simple_server import make_server

from pydantic import BaseModel

from buslog import Bus, Event, Message

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment


class Departed(BaseModel):
    shipmentId: str  # noqa: N815


departed = Event("shipmentDeparted", Departed)
bus = Bus()


@bus.on(departed)
def notify_customer(message: Message[Departed]) -> None:
    """A plain function: it runs in a thread, beside the requests."""
    print(f"Dear customer, {message.payload.shipmentId} is on its way")  # noqa: T201


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """POST a shipment's id: answers with the message's id once it is committed."""
    bus.start_in_thread()
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    emitted = bus.emit(departed, Departed(shipmentId=body)).result(timeout=10)
    start_response("202 Accepted", [("Content-Type", "text/plain")])
    return [f"{emitted.id}\n".encode()]


if __name__ == "__main__":
    with make_server("127.0.0.1", 8000, app) as server:
        server.serve_forever()
