"""Other programs, in other languages, say something in their own transactions: Node.js with `pg`, and psql."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buslog import Bus, Message, db
from buslog.config import Settings
from buslog.embedded import binaries

from ..conftest import TestServer
from ..worker.conftest import until
from .node import Absent, node

HERE = Path(__file__).parent
NAME = "shipmentDeparted"
PAYLOAD = {"shipmentId": "S-42", "weight": 2**53 + 1, "goods": "Käse “Emmental”\t'; DROP TABLE invoices; --"}

Done = subprocess.CompletedProcess[str]
Say = Callable[[str, str], Done]  # how its transaction ends (commit, rollback, die), a payload


@pytest.fixture(params=["node", "psql"])
def say(request: pytest.FixtureRequest, connection: db.Connection, pg_server: TestServer) -> Say:
    """A program that writes an invoice, emits, and ends its transaction."""
    connection.execute("CREATE TABLE invoices (name text)")
    info = connection.info
    where = {**os.environ, "PGHOST": info.host, "PGUSER": info.user, "PGDATABASE": info.dbname}
    command = _psql if request.param == "psql" else _node
    return lambda end, payload: subprocess.run(
        command(pg_server.server.version, end, payload), cwd=HERE, env=where, check=False, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip


def _psql(version: int, end: str, payload: str) -> list[str]:
    dies = end == "die"
    variables = {"ON_ERROR_STOP": 1, "name": NAME, "payload": payload, "end": end, "dies": int(dies)}
    given = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
    return [str(binaries(version) / "psql"), "-XqtA", *given, "-f", "emit.sql"]


def _node(version: int, end: str, payload: str) -> list[str]:
    """Left out where it cannot be had; not in CI."""
    try:
        return [node(), "emit.mjs", NAME, payload, end]
    except Absent as absent:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(absent))


def stored(connection: db.Connection) -> list[tuple[Any, ...]]:
    """What the log holds, with the invoice written beside it."""
    return connection.execute(
        "SELECT l.name, l.key, l.state, i.name FROM buslog.log l FULL JOIN invoices i USING (name)"
    ).fetchall()


async def test_what_a_client_commits_is_stored_beside_its_own_rows_and_delivered(
    say: Say, connection: db.Connection, test_settings: Settings
) -> None:
    heard: list[Message] = []

    async def here(message: Message) -> None:
        heard.append(message)

    bus = Bus(settings=test_settings)
    bus.on(NAME, here, id="here")
    async with bus:
        done = say("commit", json.dumps(PAYLOAD))
        assert (done.returncode, done.stderr) == (0, "")
        await until(lambda: heard)
    assert heard[0].payload == PAYLOAD, "to the last digit, quote and letter"
    assert str(heard[0].id) in done.stdout
    assert stored(connection) == [(NAME, "S-42", "succeeded", NAME)]


@pytest.mark.parametrize("end", ["rollback", "die"])
def test_what_a_client_does_not_commit_was_never_said(say: Say, connection: db.Connection, end: str) -> None:
    done = say(end, json.dumps(PAYLOAD))
    assert done.returncode == (-signal.SIGKILL if end == "die" else 0), done.stderr
    assert stored(connection) == []


def test_what_is_refused_rolls_the_client_s_transaction_back_and_says_why(say: Say, connection: db.Connection) -> None:
    done = say("commit", "[]")
    assert done.returncode != 0
    assert "payload: is a JSON object" in done.stderr
    assert '"field": "payload"' in done.stderr, "the same for programs"
    assert stored(connection) == []
