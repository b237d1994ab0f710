"""Connections, named queries and migration. With `embedded` and `refusals`, the only room that imports psycopg.

Data comes back as text payloads and plain rows; what they mean is `store`'s and `insights`'s business.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, LiteralString, cast, overload

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from buslog.config import Settings, settings
from buslog.embedded import EmbeddedServer, find_home
from buslog.errors import DatabaseUnavailable, Misconfigured
from buslog.refusals import describe, translate, translated

if TYPE_CHECKING:
    import sqlalchemy  # at run time only where it is used: it takes half a second, and a worker needs none of it

__all__ = ["describe", "translate", "translated"]  # passed on: who speaks to a database needs both rooms

MINIMUM_VERSION = 16
LOOK_MS = 2000  # how long one look at the database may take
# Second processes and compiling take longer than most looks, and take it from the bus's cores.
LOOKS_ARE_SMALL = " -c parallel_setup_cost=20000 -c jit=off"

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
PREPARED = 30  # statements of a connection that reads: the plan of one over many partitions takes a third of a MB
ROLLED_BACK = {"40001", "40P01"}  # serialization failure, deadlock: nothing of the statement is left
OUTDATED = "0A000"  # a statement prepared before a migration changed the type of its answer: refused ever after
TIMES = 5  # so often a statement that was rolled back is carried out in all

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
AsyncCursor = psycopg.AsyncCursor[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]
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

    def forget_parent(self) -> None:
        """In a forked process: what the parent holds is the parent's to give back."""
        if self._server:
            self._server.forget_parent()

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


def connect(dsn: str) -> Connection:
    """A connection of its own, in autocommit. Raises `DatabaseUnavailable` naming host and next step."""
    with translated(dsn):
        return psycopg.connect(checked_dsn(dsn), autocommit=True)


async def connect_async(dsn: str) -> AsyncConnection:
    """The same for asyncio; used where a connection is held for long, such as LISTEN."""
    with translated(dsn):
        return await psycopg.AsyncConnection.connect(checked_dsn(dsn), autocommit=True)


class Pool(AsyncConnectionPool[AsyncConnection]):
    """A pool of connections for a bus, not yet opened; each statement is a transaction. lent: to subscribers, who do to
    their connection's session what they like; none is opened before one asks.

    When there is none to give, `getconn` raises `DatabaseUnavailable` with what the last attempt to connect met: "full"
    and "exhausted" are not "down". It never gives up: a round of attempts that has ended is followed by the next.
    """

    def __init__(self, dsn: str, size: int, *, lent: bool = False) -> None:
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
            checked_dsn(dsn), connection_class=Connecting, min_size=int(not lent), max_size=size, open=False,
            timeout=10, name="buslog", kwargs={"autocommit": True}, reset=_as_new if lent else None,
            reconnect_timeout=RECONNECT_ROUND, reconnect_failed=_reconnect,
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
    """A pool for plain functions, opened; what `Pool` lends to coroutines."""
    return ConnectionPool(
        checked_dsn(dsn), min_size=0, max_size=size, open=True, timeout=10, name="buslog-sync",
        kwargs={"autocommit": True}, reset=_as_new_sync,
        reconnect_timeout=RECONNECT_ROUND, reconnect_failed=lambda pool: pool.check(),
    )  # fmt: skip


async def _as_new(connection: AsyncConnection) -> None:
    """What one subscriber has set is not there for the next, who may write elsewhere by it."""
    connection.row_factory = tuple_row
    await connection.execute(query("reset"))


def _as_new_sync(connection: Connection) -> None:
    connection.row_factory = tuple_row
    connection.execute(query("reset"))


@overload
def plain_cursor(connection: AsyncConnection) -> AsyncCursor: ...
@overload
def plain_cursor(connection: Connection) -> Cursor: ...
def plain_cursor(connection: AsyncConnection | Connection) -> AsyncCursor | Cursor:
    """One whose rows are tuples, whatever the connection was told to make of rows."""
    return connection.cursor(row_factory=tuple_row)


def check_alive(connection: AsyncConnection | Connection) -> None:
    """Asked after a transaction's end: the driver does not send the commit on a connection that it knows to be broken,
    and says nothing of it. Raises psycopg's OperationalError.
    """
    if connection.closed:
        raise psycopg.OperationalError("the connection broke before the commit")


def commits_by_itself(connection: object) -> bool:
    """Whether a statement on somebody's own connection is a transaction of its own: psycopg's in autocommit."""
    return isinstance(connection, psycopg.Connection | psycopg.AsyncConnection) and (
        connection.autocommit and connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    )


def is_idle(connection: AsyncConnection) -> bool:
    """Whether a connection is well, and in no transaction."""
    return connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE


async def fetch(
    cursor: AsyncCursor, name: str, values: Sequence[Any] | Mapping[str, Any], *, then: str | None = None
) -> list[tuple[Any, ...]]:
    """Carries out a named query that is a transaction of its own; its rows, if it has any. A cursor that is used again
    and again for the same query has found out the types of its values and columns once.

    What met a deadlock, a serialization failure or a migration was rolled back for certain: it is carried out again.
    then: a named query without values, which the server carries out right after the first has committed.
    """
    for time in range(1, TIMES + 1):
        try:
            if then is None:
                await cursor.execute(query(name), values, prepare=True)
            else:
                await _execute_both(cursor, name, values, then)
        except psycopg.Error as error:
            if error.sqlstate not in {*ROLLED_BACK, OUTDATED} or time == TIMES or not is_idle(cursor.connection):
                raise
            if error.sqlstate == OUTDATED:
                await cursor.connection.execute("DEALLOCATE ALL")
            await asyncio.sleep(random.uniform(0, 0.01 * time))  # noqa: S311  (jitter)
        else:
            # Not `description`, which makes an object of each column.
            return await cursor.fetchall() if cursor.pgresult and cursor.pgresult.nfields else []
    raise AssertionError("the last time returns or raises")


async def _execute_both(cursor: AsyncCursor, name: str, values: Sequence[Any] | Mapping[str, Any], then: str) -> None:
    """Both are on their way at once, each in a transaction of its own. What becomes of the second changes nothing.

    The answer of the first is no proof yet: its commit comes after it, and may fail. A commit that fails makes one more
    answer than the driver looks for, so that what it says of the second, or of the connection, is no proof either.
    """
    connection, before, commit = cursor.connection, cursor.pgresult, _Commit()
    second = connection.cursor()
    try:
        async with connection.pipeline() as pipeline:
            await cursor.execute(query(name), values, prepare=True)
            pipeline.command_queue.append(connection.pgconn.pipeline_sync)
            pipeline.result_queue.append((cast("AsyncCursor", commit), None))
            await second.execute(query(then), prepare=True)
    except (psycopg.Error, IndexError) as error:
        is_answered = cursor.pgresult is not None and cursor.pgresult is not before
        if not (is_answered and commit.is_done):
            raise commit.refusal or error from None


class _Commit:
    """Stands where the driver expects the end of a transaction (its public `sync` waits for it), and reads it."""

    is_done = False
    refusal: psycopg.Error | None = None

    def _check_results(self, results: Sequence[psycopg.pq.abc.PGresult]) -> None:
        if results[0].status == psycopg.pq.ExecStatus.FATAL_ERROR:
            self.refusal = psycopg.errors.error_from_result(results[0])

    def _set_results(self, results: Sequence[psycopg.pq.abc.PGresult]) -> None:
        self.is_done = results[0].status == psycopg.pq.ExecStatus.PIPELINE_SYNC


def connect_to_read(dsn: str) -> Connection:
    """Like `connect`, read-only and with the statement time-out of a look."""
    with translated(dsn):
        return psycopg.connect(_reading(dsn, LOOK_MS), autocommit=True)


def _reading(dsn: str, statement_timeout_ms: int) -> str:
    given = conninfo_to_dict(checked_dsn(dsn))
    limits = f" -c statement_timeout={statement_timeout_ms} -c default_transaction_read_only=on"
    return make_conninfo("", **{**given, "options": f"{given.get('options') or ''}{limits}{LOOKS_ARE_SMALL}"})


def make_reading_pool(dsn: str, *, size: int = 5, statement_timeout_ms: int = LOOK_MS) -> sqlalchemy.QueuePool:
    """A small pool for `insights`: connections like `connect_to_read`'s. Their transactions see one snapshot. A
    statement is prepared where that is asked for, and never by itself: planned without its values it may read too much.

    A connection that died while nobody used it is not given. Raises `sqlalchemy.exc.TimeoutError` when all are in use.
    """
    import sqlalchemy  # noqa: PLC0415

    conninfo = _reading(dsn, statement_timeout_ms)

    def connect() -> Connection:
        connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=sys.maxsize)
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.prepared_max = PREPARED
        return connection

    def check(connection: Connection, *_: object) -> None:
        if not _is_well(connection):
            raise sqlalchemy.exc.InvalidatePoolError

    pool = sqlalchemy.QueuePool(connect, pool_size=size, max_overflow=0, timeout=5, reset_on_return=None)  # type: ignore[arg-type]
    sqlalchemy.event.listen(pool, "checkout", check)
    return pool


def _is_well(connection: Connection) -> bool:
    """Whether an idle connection is still there, without a round trip: whoever ended it has said so by now."""
    try:
        for _ in range(2):  # its last words, and the end after them
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE


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
