"""A TCP proxy before the server's Unix socket (the embedded server listens on no port). It loses what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

T = TypeVar("T")
CHUNK = 65536


class Proxy:
    """Runs in a thread of its own until closed. `dsn` leads through it."""

    def __init__(self, dsn: str, host: str = "127.0.0.1") -> None:
        parts = urlsplit(dsn)
        self._socket = Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432"
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-proxy", daemon=True)
        self._thread.start()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._marks: dict[bytes, str] = {}
        self._losing: random.Random | None = None
        self.lost = 0  # connections cut before a reply came back, or before a request went out
        self._server = self._call(asyncio.start_server(self._accept, host, 0))
        port = self._server.sockets[0].getsockname()[1]
        self.dsn = urlunsplit(parts._replace(netloc=f"postgres@{host}:{port}", query=""))

    def lose(self, what: str, mark: str) -> None:
        """Cut the connection on which this text goes to the server: before it gets there (`request`), or after the
        server has done it and before its answer comes back (`reply`). Once.
        """
        self._marks[mark.encode()] = what

    def lose_replies(self, chance: random.Random | None) -> None:
        """From now on one exchange in fifty loses its reply, on any connection; None: no more."""
        self._losing = chance

    def stall(self) -> None:
        """Nothing passes any more; the connections stay open."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def flow(self) -> None:
        self._loop.call_soon_threadsafe(self._flowing.set)

    def close(self) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _end(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # an end of the line that went away is what this proxy is for
        finally:
            self._connections.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            from_server, to_server = await asyncio.open_unix_connection(str(self._socket))
            with contextlib.closing(to_server):
                line = _Line()
                pumps = [
                    asyncio.create_task(self._pump_up(reader, to_server, line)),
                    asyncio.create_task(self._pump_down(from_server, writer, line)),
                ]
                try:
                    await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
        while chunk := await reader.read(CHUNK):
            await self._flowing.wait()
            what = self._loss_of(chunk)
            if what == "request":
                self.lost += 1
                return
            line.loses_its_reply = what == "reply"
            writer.write(chunk)
            await writer.drain()

    async def _pump_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: _Line) -> None:
        while chunk := await reader.read(CHUNK):
            await self._flowing.wait()
            if line.loses_its_reply:
                self.lost += 1
                return
            writer.write(chunk)
            await writer.drain()

    def _loss_of(self, chunk: bytes) -> str | None:
        for mark in list(self._marks):
            if mark in chunk:
                return self._marks.pop(mark)
        return "reply" if self._losing is not None and self._losing.random() < 1 / 50 else None


class _Line:
    """What the two directions of a connection tell each other."""

    loses_its_reply = False
