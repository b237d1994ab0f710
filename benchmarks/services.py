"""What the subjects run against: one embedded PostgreSQL 18 with its defaults, and a Redis in memory."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from functools import cached_property
from pathlib import Path

from benchmarks.environments import HERE, redis_server
from buslog import db
from buslog.embedded import EmbeddedServer

DATA = HERE / ".data"  # beside the code and not in a temporary folder, which may be in memory and make fsync free


class Services:
    """Started when first asked for, stopped together."""

    def __init__(self) -> None:
        DATA.mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=DATA))
        self._redis: subprocess.Popen[bytes] | None = None

    # ── PostgreSQL ──────────────────────────────────────────────────────────────

    @cached_property
    def server(self) -> EmbeddedServer:
        server = EmbeddedServer(self.folder / "pg", 18)
        server.acquire()
        return server

    def dsn(self, database: str) -> str:
        return self.server.dsn.replace("/buslog?", f"/{database}?")

    def create(self, database: str, template: str = "template0") -> str:
        """A database anew, and a checkpoint, so that nobody pays for the writes of the run before. Returns its DSN."""
        with db.connect(self.server.dsn) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
            connection.execute(f"CREATE DATABASE {database} TEMPLATE {template}".encode())
            connection.execute("CHECKPOINT")
        return self.dsn(database)

    def drop(self, database: str) -> None:
        """Before the next subject's turn, so that nobody's autovacuum works beside it."""
        with db.connect(self.server.dsn) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())

    def setting(self, name: str) -> str:
        with db.connect(self.server.dsn) as connection:
            row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert row is not None
            return str(row[0])

    # ── Redis ───────────────────────────────────────────────────────────────────

    def redis(self) -> str:
        """The socket of an empty Redis that writes nothing to disk, which flatters who uses it. Raises `Absent`."""
        socket = self.folder / "redis.sock"
        if self._redis is None:
            program = redis_server()
            self._redis = subprocess.Popen(
                [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"],
                cwd=self.folder, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            give_up_at = time.monotonic() + 10
            while not socket.exists() and time.monotonic() < give_up_at:
                time.sleep(0.02)
        subprocess.run(["redis-cli", "-s", str(socket), "FLUSHALL"], check=True, stdout=subprocess.DEVNULL)
        return str(socket)

    def stop(self) -> None:
        if self._redis is not None:
            self._redis.terminate()
            self._redis.wait(10)
        if "server" in self.__dict__:
            self.server.release()
        shutil.rmtree(self.folder, ignore_errors=True)
