"""Databases for the tests: real PostgreSQL 16 and 18, one server of each a session, one fresh database a test."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from buslog import db
from buslog.config import Settings
from buslog.embedded import EmbeddedServer

SHARED = Path(__file__).parents[2] / "shared" / "data"
VERSIONS = tuple(int(v) for v in os.environ.get("BUSLOG_TEST_PG", "16,18").split(","))

collect_ignore = [] if SHARED.is_dir() else ["shared_data"]


def pytest_report_header() -> str:
    found = "found" if SHARED.is_dir() else "absent: tests/shared_data is not collected"
    return f"PostgreSQL: {', '.join(map(str, VERSIONS))}; ../shared/data: {found}"


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the developer's own BUSLOG_… variables."""
    for name in [name for name in os.environ if name.startswith("BUSLOG_") and name != "BUSLOG_TEST_PG"]:
        monkeypatch.delenv(name)


class TestServer:
    """An embedded server with a migrated template, from which a test's database is copied in milliseconds."""

    __test__ = False

    def __init__(self, home: Path, version: int) -> None:
        self.server = EmbeddedServer(home, version)
        self.dsn = self.server.acquire()
        with db.connect(self.dsn) as connection:
            connection.execute("CREATE DATABASE template")
        db.migrate(self._named("template"))

    def _named(self, database: str) -> str:
        return self.dsn.replace("/buslog?", f"/{database}?")

    def create(self, *, empty: bool = False) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        with db.connect(self.dsn) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {'template0' if empty else 'template'}")
        return self._named(name)

    def drop(self, dsn: str) -> None:
        with db.connect(self.dsn) as connection:
            connection.execute(f"DROP DATABASE {urlsplit(dsn).path[1:]} WITH (FORCE)")


def _server(version: int) -> Iterator[TestServer]:
    home = Path(tempfile.mkdtemp(prefix="buslog-test-"))
    server = TestServer(home / ".buslog", version)
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
