"""What alerts are sent to, on loopback: a real HTTP server, and a real mail server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_plus

from aiosmtpd.controller import Controller

from tests.ports import free_port


class Received:
    """What came in, in its order; `answer`: what the HTTP server answers with."""

    def __init__(self) -> None:
        self.address = ""
        self.port = 0
        self.answer = 200
        self.paths: list[str] = []
        self.documents: list[Any] = []
        self.mails: list[Any] = []
        self.hold = threading.Event()
        self.hold.set()

    @property
    def titles(self) -> list[str]:
        return [document["title"] for document in self.documents]

    @property
    def text(self) -> str:
        return unquote_plus(json.dumps(self.documents, ensure_ascii=False))


@contextmanager
def http_receiver() -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.hold.wait(30)
            received.paths.append(self.path)
            if received.answer == 200:
                received.documents.append(json.loads(body))
            self.send_response(received.answer)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    received.port = server.server_port
    received.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield received
    received.hold.set()
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def mail_receiver() -> Iterator[Received]:
    received = Received()

    class Handler:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  (the library's name)
            received.mails.append(message_from_bytes(envelope.content, policy=policy.default))
            return "250 OK"

    received.port = free_port()
    controller = Controller(Handler(), hostname="127.0.0.1", port=received.port)
    controller.start()
    received.address = f"127.0.0.1:{received.port}"
    yield received
    controller.stop()
