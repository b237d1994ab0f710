"""Databases for the tests: real PostgreSQL 16 and 18, one server of each a session, one fresh database a test."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, LiteralString, cast
from urllib.parse import urlsplit

import pytest

from buslog import db
from buslog.config import Settings
from buslog.embedded import EmbeddedServer

SHARED = Path(__file__).parents[2] / "shared" / "data"
ROOM_FOR_DATABASES = 4_000_000_000  # bytes
JUST_LEFT = 2  # databases whose last connections may still be closing
VERSIONS = tuple(int(v) for v in os.environ.get("BUSLOG_TEST_PG", "16,18").split(","))

TEST_SWITCHES = {"BUSLOG_TEST_PG"}

FAULTS = "long" if os.environ.get("CHAOS") == "long" else "short"  # `make chaos`: the long form, half an hour

collect_ignore = [] if SHARED.is_dir() else ["shared_data"]


def pytest_report_header() -> str:
    found = "found" if SHARED.is_dir() else "absent: tests/shared_data is not collected"
    return f"PostgreSQL: {', '.join(map(str, VERSIONS))}; ../shared/data: {found}; faults: {FAULTS} form"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the developer's own BUSLOG_… variables."""
    for name in [name for name in os.environ if name.startswith("BUSLOG_") and name not in TEST_SWITCHES]:
        monkeypatch.delenv(name)


class TestServer:
    """An embedded server with a migrated template, from which a test's database is copied in milliseconds."""

    __test__ = False

    def __init__(self, home: Path, version: int, strategy: LiteralString = "WAL_LOG") -> None:
        self.server = EmbeddedServer(home, version)
        self.dsn = self.server.acquire()
        self._strategy: LiteralString = strategy
        self._templates: set[str] = set()
        self._left: list[str] = []
        with db.connect(self.dsn) as connection:
            connection.execute("CREATE DATABASE template")
        db.migrate(self._named("template"))

    def template(self, name: LiteralString, fill: Callable[[db.Connection], object]) -> LiteralString:
        """A database that is filled once, and copied by each test that asks for it."""
        if name not in self._templates:
            with db.connect(self.dsn) as connection:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE template")
            with db.connect(self._named(name)) as connection:
                fill(connection)
            self._templates.add(name)
        return name

    def _named(self, database: str) -> str:
        return self.dsn.replace("/buslog?", f"/{database}?")

    def create(self, *, empty: bool = False, template: LiteralString = "template") -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        copied = "template0" if empty else template
        with db.connect(self.dsn) as connection:
            self._drop_what_was_left(connection)
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {copied} STRATEGY {self._strategy}")
        return self._named(name)

    def drop(self, dsn: str) -> None:
        """Drops it later: a drop waits a tenth of a second for a connection that was closed a moment ago."""
        self._left.append(urlsplit(dsn).path[1:])

    def _drop_what_was_left(self, connection: db.Connection) -> None:
        while len(self._left) > JUST_LEFT:
            connection.execute(f"DROP DATABASE {self._left.pop(0)} WITH (FORCE)".encode())


def _quick_folder() -> str | None:
    """Memory where there is plenty of it: making hundreds of databases is then ten times as fast."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > ROOM_FOR_DATABASES else None


def _server(version: int) -> Iterator[TestServer]:
    memory = _quick_folder()
    home = Path(tempfile.mkdtemp(prefix="buslog-test-", dir=memory))
    # Copying files costs half as much as logging their pages, where a sync of each costs nothing.
    server = TestServer(home / ".buslog", version, "FILE_COPY" if memory else "WAL_LOG")
    yield server
    server.server.release()
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def server16() -> Iterator[TestServer]:
    yield from _server(16)


@pytest.fixture(scope="session")
def server18() -> Iterator[TestServer]:
    yield from _server(18)


@pytest.fixture(params=VERSIONS, ids=lambda v: f"pg{v}")
def pg_server(request: pytest.FixtureRequest) -> TestServer:
    """The server a test runs on; a test that asks for it runs on each version."""
    server: TestServer = request.getfixturevalue(f"server{request.param}")
    return server


@pytest.fixture
def dsn(pg_server: TestServer) -> Iterator[str]:
    """A fresh, migrated database."""
    name = pg_server.create()
    yield name
    pg_server.drop(name)


@pytest.fixture
def dsn18(server18: TestServer) -> Iterator[str]:
    """A fresh, migrated database on PostgreSQL 18 only: for what does not depend on the version."""
    name = server18.create()
    yield name
    server18.drop(name)


@pytest.fixture
def empty_dsn(pg_server: TestServer) -> Iterator[str]:
    """A fresh database without a schema."""
    name = pg_server.create(empty=True)
    yield name
    pg_server.drop(name)


@pytest.fixture
def connection(dsn: str) -> Iterator[db.Connection]:
    with db.connect(dsn) as opened:
        yield opened


@pytest.fixture
def test_settings(dsn: str) -> Settings:
    """Settings of a quick worker on the test's database."""
    return Settings(dsn=dsn, poll=0.1, lease=2.0, grace=5.0)


class BusByHand:
    """The bus in SQL alone: what tests of reads and screens put into a database, and the worker that they play."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._subscriptions: dict[int, str] = {}
        self._worker: int | None = None

    def subscribe(
        self, subscription: str, *names: str, kind: str = "event", schema: str | None = None, description: str = ""
    ) -> None:
        (row,) = self.run(
            """SELECT buslog.register(%s, %s, %s::buslog.kind, '{"policy": {"max_attempts": 3}}', %s::text::json, %s,
                                      'test')""",
            subscription, list(names), kind, schema, description,
        )  # fmt: skip
        self._subscriptions[row[0]] = subscription
        if self._worker is not None:
            self.run("UPDATE buslog.workers SET hosts = %s WHERE id = %s", list(self._subscriptions), self._worker)

    def emit(
        self, name: str, payload: str = "{}", key: str | None = None, caused_by: uuid.UUID | None = None
    ) -> uuid.UUID:
        (row,) = self.run(
            "SELECT buslog.emit(%s, %s::text::jsonb, %s, causation_id => %s)", name, payload, key, caused_by
        )
        return cast("uuid.UUID", row[0])

    def work(self, **outcomes: str) -> int:
        """Claims what is ready and settles it; returns how many deliveries.

        outcomes: state by subscription, `succeeded` where none is given.
        """
        claimed = self.run(
            "SELECT message_id, subscription_id, ready_seq FROM buslog.claim(%s, %s, NULL, 1000)",
            self.start_worker(), list(self._subscriptions),
        )  # fmt: skip
        for message_id, subscription, fence in claimed:
            state = outcomes.get(self._subscriptions[subscription], "succeeded")
            went_well = (json.dumps({"updated": 3}), None, None, None, None)
            raised = (None, "CarrierTimeout", "no answer within 5 s", "carrier.py:12 in ask", "Traceback (secret)")
            self.run(
                """SELECT buslog.settle(
                       ARRAY[%s::uuid], ARRAY[%s::int], ARRAY[%s::bigint], ARRAY[%s::text], ARRAY[60::float8],
                       ARRAY[%s::text::jsonb], ARRAY[%s::text], ARRAY[%s::text], ARRAY[%s::text], ARRAY[%s::text],
                       NULL, 'host:1', 'test', false)""",
                message_id, subscription, fence, state, *(went_well if state == "succeeded" else raised),
            )  # fmt: skip
        return len(claimed)

    def start_worker(self) -> int:
        if self._worker is None:
            (row,) = self.run(
                """INSERT INTO buslog.workers (worker, version, hosts, lease_until)
                   VALUES ('host:1', 'test', %s, clock_timestamp() + interval '1 hour') RETURNING id""",
                list(self._subscriptions),
            )
            self._worker = row[0]
        return cast("int", self._worker)

    def add_history(self, name: str, at: str, key: str | None = None, state: str = "imported") -> uuid.UUID:
        """A message of another time: imported, or with one ended delivery of the first subscription."""
        self.run("SELECT buslog.ensure_partitions(%s::timestamptz, %s::timestamptz)", at, at)
        (row,) = self.run(
            """INSERT INTO buslog.messages
                   (id, kind, routed, emitted_at, correlation_id, name, key, source, payload)
               SELECT id, 'event', %s, %s::timestamptz, id, %s, %s, 'import', '{}'
               FROM buslog.new_id(%s::timestamptz) AS id
               RETURNING id""",
            0 if state == "imported" else 1, at, name, key, at,
        )  # fmt: skip
        if state != "imported":
            self.run(
                """INSERT INTO buslog.ended_deliveries
                       (message_id, subscription_id, generation, attempts, repeats, state, finished_at, error_type,
                        error)
                   VALUES (%s, %s, 1, 3, 0, %s::buslog.state, %s::timestamptz, 'CarrierTimeout', 'no answer')""",
                row[0], next(iter(self._subscriptions)), state, at,
            )  # fmt: skip
        return cast("uuid.UUID", row[0])

    def run(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        with db.connect(self.dsn) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def by_hand(dsn: str) -> BusByHand:
    """The test's database, filled by hand."""
    return BusByHand(dsn)


@pytest.fixture
def by_hand18(dsn18: str) -> BusByHand:
    return BusByHand(dsn18)
