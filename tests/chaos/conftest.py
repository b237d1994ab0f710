"""Faults on real worker processes. Each has a short form, which `make test` and CI run, and a long one: `make chaos`.

A run prints its seed; CHAOS_SEED=… repeats it.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import VERSIONS, TestServer
from .checker import Verdict, check, kept
from .client import Client
from .fleet import Fleet
from .server import Patient


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What happens when; its seed is printed."""
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(2**32)))
    print(f"seed {seed}")  # noqa: T201  (to run it again)
    return random.Random(seed)


on_each_version = pytest.mark.parametrize("version", VERSIONS, indirect=True, ids=lambda v: f"pg{v}")


@pytest.fixture
def version(request: pytest.FixtureRequest) -> int:
    """The newest PostgreSQL, but for what runs `on_each_version`."""
    return int(getattr(request, "param", max(VERSIONS)))


@pytest.fixture
def fleet(request: pytest.FixtureRequest, version: int, tmp_path: Path) -> Iterator[Fleet]:
    """No worker yet."""
    server: TestServer = request.getfixturevalue(f"server{version}")
    running = Fleet(server.create(), tmp_path)
    running.register()
    yield running
    running.stop()
    server.drop(running.dsn)


@pytest.fixture
def said_file(tmp_path: Path) -> Path:
    return tmp_path / "said"


@pytest.fixture
def client(fleet: Fleet, said_file: Path) -> Iterator[Client]:
    """Emits straight to the database."""
    with Client(fleet.dsn, said_file) as emitting:
        yield emitting


class Judge:
    """The checker, with the files of this test."""

    def __init__(self, fleet: Fleet, said_file: Path) -> None:
        self._fleet = fleet
        self._said_file = said_file

    def look(self) -> Verdict:
        return check(self._fleet.dsn, self._said_file, self._fleet.runs_file)

    def kept(self, *, reruns_at_most: int = 0) -> Verdict:
        """Every promise was kept, with at most so many reruns."""
        verdict = self.look()
        print(verdict)  # noqa: T201  (what a failed run shows)
        kept(verdict, reruns_at_most=reruns_at_most)
        return verdict


@pytest.fixture
def judge(fleet: Fleet, said_file: Path) -> Judge:
    return Judge(fleet, said_file)


@pytest.fixture(scope="session")
def clock_library() -> Iterator[Path | None]:
    """The shim that shifts a process's clock, where everybody may read it; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="buslog-clock-"))
    folder.chmod(0o755)
    built, source = folder / "clock_shift.so", Path(__file__).with_name("clock_shift.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", str(source), "-o", str(built), "-ldl"], check=True)
    yield built
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def patient() -> Iterator[Patient]:
    """A server that may be stopped, frozen and shot: no other test uses it."""
    home = Path(tempfile.mkdtemp(prefix="buslog-chaos-"))  # on the disk: a server that is shot must find its log there
    server = Patient(home / ".buslog", max(VERSIONS))
    yield server
    server.server.release()
    shutil.rmtree(home)
