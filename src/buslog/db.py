"""Connections, named queries and migration. With `embedded`, the only room that imports psycopg.

Data comes back as text payloads and plain rows; what they mean is `store`'s and `insights`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from buslog.config import Settings, settings
from buslog.embedded import EmbeddedServer, find_home
from buslog.errors import (
    BuslogError,
    DatabaseUnavailable,
    InvalidMessage,
    Misconfigured,
    NotPermitted,
    OutcomeUnknown,
)

if TYPE_CHECKING:
    import sqlalchemy  # at run time only where it is used: it takes half a second, and a worker needs none of it

MINIMUM_VERSION = 16
LOOK_MS = 2000  # how long one look at the database may take

# Without these a worker whose network is cut waits for ever (measured: both are needed).
SAFETY = {
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "application_name": "buslog",
    "options": "-c timezone=UTC -c default_transaction_isolation=read\\ committed",
}

RECONNECT_ROUND = 2.0  # seconds; the library doubles its pause from 1 s on for so long, and begins anew
ROLLED_BACK = {"40001", "40P01"}  # serialization failure, deadlock: nothing of the statement is left
TIMES = 5  # so often a statement that was rolled back is carried out in all

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]
SyncPool = ConnectionPool[Connection]


class Database:
    """A PostgreSQL to work with: yours (`BUSLOG_DSN`), or the embedded one, held until `close`."""

    def __init__(self, given: Settings | None = None, tell: Callable[[str], None] = lambda _: None) -> None:
        chosen = given or settings()
        self._server: EmbeddedServer | None = None
        if chosen.dsn:
            self.dsn = checked_dsn(chosen.dsn)
        else:
            self._server = EmbeddedServer(chosen.home or find_home(), chosen.pg_version)
            self.dsn = self._server.acquire(tell)

    def __str__(self) -> str:
        """Which database, for people: never the password."""
        if self._server:
            return f"embedded PostgreSQL {self._server.version} in {self._server.home}"
        return describe(self.dsn)

    def prepare(self) -> None:
        """Ready to work with: the embedded database is migrated; yours is checked, and migrated only by
        `buslog migrate`. Raises `Misconfigured`.
        """
        if self._server:
            try:
                check_schema(self.dsn)
            except Misconfigured:
                migrate(self.dsn)
        else:
            check_schema(self.dsn)

    def close(self) -> None:
        if self._server:
            self._server.release()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ── named queries ───────────────────────────────────────────────────────────────


@cache
def query(name: str) -> LiteralString:
    """The SQL of `sql/<name>.sql`."""
    return (resources.files("buslog") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


PLACEHOLDER = re.compile(r"%\((\w+)\)s")


# ── connections ─────────────────────────────────────────────────────────────────


def checked_dsn(dsn: str) -> str:
    """The DSN with our safety settings where it has none of its own. Raises `Misconfigured`, without the DSN."""
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise Misconfigured(
            field="BUSLOG_DSN",
            rule="is a PostgreSQL URL or conninfo string",
            was="a text that cannot be read as one",
            mend="Write it as postgresql://user:password@host:5432/database.",
        ) from None
    chosen = {**SAFETY, **{k: v for k, v in given.items() if v is not None}}
    if SAFETY["options"] not in str(chosen["options"]):  # the SQL functions count on them
        chosen["options"] = f"{chosen['options']} {SAFETY['options']}"
    return make_conninfo("", **chosen)


def describe(dsn: str) -> str:
    """Host, port and database of a DSN; never its password."""
    given = conninfo_to_dict(dsn)
    return f"PostgreSQL {given.get('dbname', '')} at {given.get('host', 'localhost')}:{given.get('port', 5432)}"


def connect(dsn: str) -> Connection:
    """A connection of its own, in autocommit. Raises `DatabaseUnavailable` naming host and next step."""
    with translated(dsn):
        return psycopg.connect(checked_dsn(dsn), autocommit=True)


async def connect_async(dsn: str) -> AsyncConnection:
    """The same for asyncio; used where a connection is held for long, such as LISTEN."""
    with translated(dsn):
        return await psycopg.AsyncConnection.connect(checked_dsn(dsn), autocommit=True)


class Pool(AsyncConnectionPool[AsyncConnection]):
    """A pool of connections for a bus, not yet opened; in autocommit each statement is a transaction.

    When there is none to give, `getconn` raises `DatabaseUnavailable` with what the last attempt to connect met: "full"
    and "exhausted" are not "down". It never gives up: a round of attempts that has ended is followed by the next.
    """

    def __init__(self, dsn: str, size: int, *, autocommit: bool = True) -> None:
        pool = self

        class Connecting(AsyncConnection):
            @classmethod
            async def connect(cls, *arguments: Any, **options: Any) -> Connecting:
                try:
                    made = await super().connect(*arguments, **options)
                except psycopg.Error as refusal:
                    pool._refusal = refusal
                    raise
                pool._refusal = None
                return made

        self._dsn = dsn
        self._refusal: psycopg.Error | None = None
        super().__init__(
            checked_dsn(dsn), connection_class=Connecting, min_size=int(autocommit), max_size=size, open=False,
            timeout=10, name="buslog", kwargs={"autocommit": autocommit}, reconnect_timeout=RECONNECT_ROUND,
            reconnect_failed=_reconnect,
        )  # fmt: skip

    async def getconn(self, timeout: float | None = None) -> AsyncConnection:
        try:
            return await super().getconn(timeout)
        except PoolTimeout as error:
            # Who has been let in and no longer is may be again: to a bus that runs, this is an outage as well.
            raise translate(self._refusal or error, self._dsn).recast(DatabaseUnavailable) from None


async def _reconnect(pool: AsyncConnectionPool[Any]) -> None:
    """The library tries again only when the next one asks for a connection; those that wait would wait in vain."""
    await asyncio.sleep(random.uniform(0, 0.5))  # noqa: S311  (jitter: not all programs at the same moment)
    await pool.check()


def make_sync_pool(dsn: str, size: int) -> SyncPool:
    """A pool for plain functions, opened; its connections are in transactions."""
    return ConnectionPool(
        checked_dsn(dsn), min_size=0, max_size=size, open=True, timeout=10, name="buslog-sync",
        reconnect_timeout=RECONNECT_ROUND, reconnect_failed=lambda pool: pool.check(),
    )  # fmt: skip


async def fetch(
    connection: AsyncConnection, name: str, values: Sequence[Any] | Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Carries out a named query that is a transaction of its own; its rows, if it has any.

    One that met a deadlock or a serialization failure was rolled back for certain: it is carried out again.
    """
    for time in range(1, TIMES + 1):
        try:
            cursor = await connection.execute(query(name), values, prepare=True, binary=True)
        except psycopg.Error as error:
            if error.sqlstate not in ROLLED_BACK or time == TIMES:
                raise
            await asyncio.sleep(random.uniform(0, 0.01 * time))  # noqa: S311  (jitter)
        else:
            return await cursor.fetchall() if cursor.description else []
    raise AssertionError("the last time returns or raises")


def connect_to_read(dsn: str) -> Connection:
    """Like `connect`, read-only and with the statement time-out of a look."""
    with translated(dsn):
        return psycopg.connect(_reading(dsn, LOOK_MS), autocommit=True)


def _reading(dsn: str, statement_timeout_ms: int) -> str:
    given = conninfo_to_dict(checked_dsn(dsn))
    limits = f" -c statement_timeout={statement_timeout_ms} -c default_transaction_read_only=on"
    return make_conninfo("", **{**given, "options": f"{given.get('options') or ''}{limits}"})


def make_engine(dsn: str, *, size: int = 5, statement_timeout_ms: int = LOOK_MS) -> sqlalchemy.Engine:
    """SQLAlchemy's engine for `insights`: a small pool of its own, read-only, with a statement time-out."""
    import sqlalchemy  # noqa: PLC0415

    conninfo = _reading(dsn, statement_timeout_ms)
    return sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo),
        pool_size=size,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
    )


# ── errors ──────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def translated(dsn: str = "", *, committing: bool = False) -> Iterator[None]:
    """psycopg's errors become ours. `committing`: a break means that the outcome is unknown."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (psycopg.Error, *_sqlalchemy_errors("SQLAlchemyError"))):
            raise
        raise translate(error, dsn, committing=committing) from None


def translate(error: Exception, dsn: str = "", *, committing: bool = False) -> BuslogError:
    """Our error for one of psycopg's or SQLAlchemy's. Never repeats the statement, its values or the DSN."""
    if isinstance(error, _sqlalchemy_errors("DBAPIError")):
        error = getattr(error, "orig", None) or error
    state = getattr(error, "sqlstate", None) or ""
    diagnosis = getattr(error, "diag", None)
    if state == "BL001" and diagnosis is not None and diagnosis.message_detail:
        return InvalidMessage(**json.loads(diagnosis.message_detail))
    if state.startswith("22"):
        return InvalidMessage(
            field="payload",
            rule="is JSON that PostgreSQL can hold",
            was=(diagnosis.message_primary or "" if diagnosis else ""),
            mend="Remove NUL characters, lone surrogates, NaN and Infinity.",
        )
    where = describe(dsn) if dsn else "the database"
    if known := _KNOWN.get(state or _state_in_text(error)):
        kind, field, rule, was, mend = known
        return kind(field=field, rule=rule, was=was.format(where=where), mend=mend)
    if isinstance(error, (PoolTimeout, *_sqlalchemy_errors("TimeoutError"))):
        return DatabaseUnavailable(
            field="pool", rule="has a free connection in time",
            was=f"every connection of this program to {where} is in use", mend="Look for what holds them for long.",
        )  # fmt: skip
    # An ERROR of the server's ends the statement and rolls it back. Whatever else ends it leaves its outcome open.
    is_broken = not state or (diagnosis is not None and diagnosis.severity_nonlocalized != "ERROR")
    if committing and is_broken and isinstance(error, psycopg.OperationalError):
        return OutcomeUnknown(
            field="emit", rule="is confirmed by the database", was="the connection broke before the answer",
            mend="Emit it again with the dedupe key it had, or look in the Log first.",
        )  # fmt: skip
    if is_broken and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return DatabaseUnavailable(
            field="database", rule="answers", was=f"{where} does not", mend="Start it, or correct BUSLOG_DSN."
        )
    return DatabaseUnavailable(
        field="database", rule="carries out the statement", was=f"{type(error).__name__} {state}".strip(),
        mend="The server's log says more.",
    )  # fmt: skip


def _sqlalchemy_errors(name: str) -> tuple[type[Exception], ...]:
    """An exception of SQLAlchemy's, if it has been imported at all."""
    module = sys.modules.get("sqlalchemy.exc")
    return (getattr(module, name),) if module else ()


_TURNED_AWAY = (
    Misconfigured, "BUSLOG_DSN", "names a database that lets us in", "{where} turned us away",
    "Check user, password and database name.",
)  # fmt: skip
_OTHER_BUILD = (
    Misconfigured, "schema", "is this build's", "{where} lacks something that this build calls",
    "Run `buslog migrate`; a database that an unreleased build made has to be made anew.",
)  # fmt: skip
_AGAIN = "Nothing of it is stored: carry out the whole transaction again."
# By SQLSTATE: error, field, rule, what it was, how to mend it.
_KNOWN: dict[str, tuple[type[BuslogError], str, str, str, str]] = {
    **dict.fromkeys(("28P01", "28000", "3D000"), _TURNED_AWAY),
    **dict.fromkeys(("3F000", "42P01", "42883", "42703"), _OTHER_BUILD),
    "40001": (DatabaseUnavailable, "transaction", "is in nobody's way", "a serialization failure", _AGAIN),
    "40P01": (DatabaseUnavailable, "transaction", "is in nobody's way", "a deadlock", _AGAIN),
    "42501": (
        NotPermitted, "role", "has the right to do this", "{where} refused it",
        "Grant the right, or connect as a role that has it.",
    ),
    "53100": (
        DatabaseUnavailable, "database", "has room on its disk", "{where} has none",
        "Make room; what is open goes on by itself.",
    ),
    "53300": (
        DatabaseUnavailable, "database", "has a free connection", "{where} is at max_connections",
        "Stop a client, or raise max_connections.",
    ),
    "57014": (
        DatabaseUnavailable, "query", "answers within the statement time-out", "",
        "Narrow the time range or the filter.",
    ),
}  # fmt: skip
# While connecting, libpq gives no SQLSTATE, only text: a server that is there and refuses says why.
_TEXTS = {
    "28P01": r"password authentication failed|no password supplied|no pg_hba\.conf entry",
    "3D000": r'FATAL:\s+(database|role) ".*" does not exist',
    "53300": r"too many clients already|remaining connection slots|too many connections for",
}


def _state_in_text(error: Exception) -> str:
    if not isinstance(error, psycopg.OperationalError):
        return ""
    return next((state for state, told in _TEXTS.items() if re.search(told, str(error))), "")


# ── migration ───────────────────────────────────────────────────────────────────

_MIGRATION_LOCK = 7305402201  # any constant: two migrations take turns


def migrate(dsn: str) -> tuple[str | None, str]:
    """Bring the schema to this build's version. Returns the revision before (None: there was none) and after."""
    import alembic.command  # noqa: PLC0415  (slow to import; only here)
    import alembic.util  # noqa: PLC0415
    import sqlalchemy  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(checked_dsn(dsn)))
    try:
        with translated(dsn), engine.connect() as connection:
            check_server_version(connection.scalar(sqlalchemy.text("SHOW server_version_num")))
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            connection.execute(sqlalchemy.text("CREATE SCHEMA IF NOT EXISTS buslog"))
            connection.commit()
            before = revision_in(connection)
            config = Config()
            config.set_main_option("script_location", str(resources.files("buslog") / "sql" / "migrations"))
            config.attributes["connection"] = connection
            try:
                alembic.command.upgrade(config, "head")
            except alembic.util.CommandError:
                raise Misconfigured(
                    field="schema", rule="is not newer than this build", was=f"revision {before}",
                    limit=f"revision {expected_revision()}", mend="Install the buslog that made it, or a later one.",
                ) from None  # fmt: skip
            connection.commit()
            connection.execute(sqlalchemy.text("SELECT buslog.ensure_partitions(now(), now() + interval '3 months')"))
            connection.commit()
            return before, revision_in(connection) or ""
    finally:
        engine.dispose()


def revision_in(connection: sqlalchemy.Connection) -> str | None:
    """The revision that a database is at; None without a schema."""
    import sqlalchemy  # noqa: PLC0415

    if connection.scalar(sqlalchemy.text("SELECT to_regclass('buslog.schema_version')")) is None:
        return None
    return cast("str | None", connection.scalar(sqlalchemy.text("SELECT version_num FROM buslog.schema_version")))


@cache
def expected_revision() -> str:
    """The newest migration of this build."""
    versions = resources.files("buslog") / "sql" / "migrations" / "versions"
    return max(file.name for file in versions.iterdir() if file.name[0].isdigit()).split("_", 1)[0]


def check_schema(dsn: str) -> None:
    """Raises `Misconfigured` unless the database is new enough and at this build's revision."""
    with connect(dsn) as connection, translated(dsn):
        row = connection.execute(
            "SELECT current_setting('server_version_num'), to_regclass('buslog.schema_version') IS NOT NULL"
        ).fetchone()
        assert row is not None
        check_server_version(row[0])
        found = connection.execute("SELECT version_num FROM buslog.schema_version").fetchone() if row[1] else None
    if not found or found[0] != expected_revision():
        raise Misconfigured(
            field="schema",
            rule="is at the revision of this build",
            was=f"revision {found[0]}" if found else "no schema",
            limit=f"revision {expected_revision()}",
            mend="Run `buslog migrate`.",
        )


def check_server_version(number: str) -> None:
    """`server_version_num`, such as '180001'. Raises `Misconfigured` below 16."""
    if int(number) // 10000 < MINIMUM_VERSION:
        raise Misconfigured(
            field="PostgreSQL", rule="is recent enough", was=f"version {int(number) // 10000}",
            limit=f"version {MINIMUM_VERSION} or later", mend="Upgrade the server, or use the embedded one.",
        )  # fmt: skip
