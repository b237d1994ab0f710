"""The command `buslog` as people and programs meet it: a process, its two streams and its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from buslog import db

from ..conftest import ROOT, wait_until
from .warm import Starter

SHOP = '''
import asyncio
import time
from pydantic import BaseModel
from buslog import Bus, Message, RetryPolicy

bus = Bus()
not_a_bus = "bus"
ONCE = RetryPolicy(max_attempts=1)
SLOWLY = RetryPolicy(max_attempts=2, first_delay=600)

class Resync(BaseModel):
    """What to ask the carrier again."""
    shipmentId: str
    steps: int = 1

@bus.command("resyncTracking", payload=Resync, id="resync")
async def resync(message: Message[Resync]) -> dict:
    return {"steps": message.payload.steps, "said": "a \\u2028 b\\n", "list": [1, 2]}

@bus.command("explode", id="explode", retry=ONCE)
async def explode(message: Message) -> None:
    raise ValueError("boom")

@bus.on("ordered", id="mail", retry=ONCE)
def mail(message: Message) -> None:
    raise TimeoutError("the mail server refuses")

@bus.on("ordered", id="later", retry=SLOWLY)
def later(message: Message) -> None:
    raise TimeoutError("the carrier does not answer")

@bus.on("ordered", id="ship")
async def ship(message: Message) -> None: ...

@bus.on("napped", id="nap")
async def nap(message: Message) -> None:
    await asyncio.sleep(message.payload["seconds"])
'''


def environment(dsn: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BUSLOG_")}
    path = os.pathsep.join(part for part in (str(ROOT / "src"), kept.get("PYTHONPATH", "")) if part)
    return {**kept, "PYTHONPATH": path, "BUSLOG_DSN": dsn, **more}


class Cli:
    """Runs the command on one database, in a folder that holds the application `shop`."""

    def __init__(self, dsn: str, folder: Path, starter: Starter) -> None:
        self.dsn = dsn
        self.folder = folder
        self._starter = starter
        (folder / "shop.py").write_text(SHOP)

    def __call__(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] = {}) -> Done:
        code, out, err = self._starter.run(arguments, self.folder, environment(self.dsn, **env), stdin)
        return Done(code, out.decode(), err.decode())

    def start(self, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        """As a person's shell does, and without waiting for its end."""
        more = {"env": environment(self.dsn), **more}
        return subprocess.Popen([sys.executable, "-m", "buslog", *arguments], cwd=self.folder, **more)


class Done:
    """How a command ended. Whatever it was, it must not have been a traceback."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in err, err

    @property
    def document(self) -> Any:
        """The JSON document on stdout, which is one line."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    @property
    def fields(self) -> dict[str, str]:
        """The JSON object on stderr, where nothing else is."""
        found = json.loads(self.err)
        assert list(found) == ["field", "rule", "was", "limit", "mend"]
        return dict(found)

    @property
    def error(self) -> str:
        """The last line on stderr."""
        return self.err.strip().rsplit("\n", 1)[-1]


@pytest.fixture(scope="session")
def starter() -> Iterator[Starter]:
    started = Starter()
    yield started
    started.stop()


@pytest.fixture
def cli(dsn18: str, tmp_path: Path, starter: Starter) -> Cli:
    return Cli(dsn18, tmp_path, starter)


@pytest.fixture
def empty_cli(server18: Any, tmp_path: Path, starter: Starter) -> Iterator[Cli]:
    """On a database without a schema."""
    dsn = server18.create(empty=True)
    yield Cli(dsn, tmp_path, starter)
    server18.drop(dsn)


@pytest.fixture
def connection(dsn18: str) -> Any:
    with db.connect(dsn18) as opened:
        yield opened


@pytest.fixture
def worker(cli: Cli, connection: db.Connection) -> Any:
    process = cli.start("worker", "shop:bus", stderr=subprocess.PIPE)
    wait_until(lambda: value(connection, "SELECT count(*) FROM buslog.workers") == 1)
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


def value(connection: db.Connection, statement: Any, *values: Any) -> Any:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row[0]
