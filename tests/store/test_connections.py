"""What the database's refusals become, and what is carried out again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy
from psycopg.pq import DiagnosticField

from buslog import Bus, db
from buslog.config import Settings
from buslog.desk import Actor
from buslog.errors import BuslogError, DatabaseUnavailable, InvalidMessage, Misconfigured, OutcomeUnknown
from buslog.message import Emitted
from buslog.operations import Operations
from buslog.store import Said, Store

from ..chaos.proxy import Proxy
from ..conftest import TestServer
from .conftest import Scene

# ── what a refusal says ─────────────────────────────────────────────────────────


@pytest.fixture
def one_at_a_time(pg_server: TestServer, dsn: str) -> Iterator[str]:
    """The test's database, reached as a role that may have one connection."""
    role = f"r{dsn.rpartition('/')[2].split('?')[0]}"
    with db.connect(dsn) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER CONNECTION LIMIT 1; ALTER ROLE {role} NOSUPERUSER")
    yield dsn.replace("postgres@", f"{role}@")
    with db.connect(dsn) as connection:
        connection.execute(f"DROP ROLE {role}")


def test_a_server_that_lets_nobody_else_in_is_full_and_not_away(one_at_a_time: str) -> None:
    with db.connect(one_at_a_time), pytest.raises(DatabaseUnavailable, match="max_connections"):
        db.connect(one_at_a_time)


@pytest.mark.parametrize(
    "told",
    [
        "sorry, too many clients already",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        'too many connections for database "freight"',
    ],
)
def test_every_text_of_a_full_server_is_known(told: str) -> None:
    refusal = psycopg.OperationalError(f"connection failed: FATAL:  {told}")
    assert "max_connections" in str(db.translate(refusal, committing=True))


async def test_a_pool_that_can_make_no_connection_says_why(one_at_a_time: str) -> None:
    with db.connect(one_at_a_time):
        pool = db.Pool(one_at_a_time, 1)
        await pool.open()
        with pytest.raises(DatabaseUnavailable, match="max_connections"):
            await pool.getconn(timeout=0.5)
        await pool.close()


async def test_a_pool_whose_connections_are_all_in_use_says_so(dsn: str) -> None:
    pool = db.Pool(dsn, 1)
    await pool.open()
    held = await pool.getconn()
    with pytest.raises(DatabaseUnavailable, match="in use") as refused:
        await pool.getconn(timeout=0.1)
    assert "answers" not in str(refused.value)
    await pool.putconn(held)
    await pool.close()


def test_an_engine_whose_connections_are_all_in_use_says_so(dsn: str) -> None:
    refusal = sqlalchemy.exc.TimeoutError("QueuePool limit reached")
    assert "in use" in str(db.translate(refusal, dsn))


async def test_a_bus_that_is_turned_away_later_hears_of_an_outage(dsn: str) -> None:
    pool = db.Pool(dsn.replace("postgres@", "nobody@"), 1)
    await pool.open()
    with pytest.raises(DatabaseUnavailable, match="turned us away"):
        await pool.getconn(timeout=0.5)
    await pool.close()


async def test_who_waits_for_a_connection_gets_it_soon_after_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch, dsn18: str
) -> None:
    connect = psycopg.AsyncConnection.connect
    back_at = time.monotonic() + 4.5

    async def away(*arguments: Any, **options: Any) -> Any:
        if time.monotonic() < back_at:
            raise psycopg.OperationalError("connection refused")
        return await connect(*arguments, **options)

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", away)
    pool = db.Pool(dsn18, 1)
    await pool.open()
    held = await pool.getconn(timeout=40)
    assert time.monotonic() - back_at < 10, "and not for ever"
    await pool.putconn(held)
    await pool.close()


# ── what is known to be rolled back ─────────────────────────────────────────────


def raised(connection: db.Connection, state: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as error:
        connection.execute(f"DO $$ BEGIN RAISE EXCEPTION 'told' USING ERRCODE = '{state}'; END $$")
    return error.value


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("40P01", "deadlock"), ("40001", "serialization"), ("53100", "disk"), ("55P03", "55P03"), ("53200", "53200"),
        ("57014", "time-out"),
    ],
)  # fmt: skip
def test_an_error_of_the_server_s_leaves_no_doubt_that_nothing_is_stored(
    connection: db.Connection, state: str, told: str
) -> None:
    error = db.translate(raised(connection, state), committing=True)
    assert type(error) is DatabaseUnavailable
    assert told in str(error)
    assert "does not" not in error.was, "it does answer"


def test_a_connection_that_breaks_in_a_commit_leaves_the_outcome_open(dsn: str) -> None:
    with db.connect(dsn) as connection, pytest.raises(psycopg.OperationalError) as error:
        connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert isinstance(db.translate(error.value, committing=True), OutcomeUnknown)


class Ended:
    """What the server says when it gives up a session, as the driver reads it."""

    def __init__(self, severity: bytes, state: bytes) -> None:
        self._fields = {DiagnosticField.SEVERITY_NONLOCALIZED: severity, DiagnosticField.SQLSTATE: state}

    def error_field(self, field: DiagnosticField) -> bytes | None:
        return self._fields.get(field)

    def get_error_message(self, encoding: str) -> str:  # noqa: ARG002  (the driver gives it)
        return "could not write to file: No space left on device"


@pytest.mark.parametrize("severity", [b"FATAL", b"PANIC"])
@pytest.mark.parametrize("state", [b"53100", b"58030", b"25P04", b"XX000", b"57014"])
def test_a_session_that_ends_in_a_commit_leaves_the_outcome_open_whatever_ended_it(
    severity: bytes, state: bytes
) -> None:
    ended: Any = Ended(severity, state)
    error = psycopg.errors.error_from_result(ended)
    assert isinstance(db.translate(error, committing=True), OutcomeUnknown)
    assert not isinstance(db.translate(error), OutcomeUnknown)


@pytest.fixture
def proxy(dsn: str) -> Iterator[Proxy]:
    passing = Proxy(dsn)
    yield passing
    passing.close()


def count_messages(connection: db.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM buslog.messages").fetchone()
    assert row is not None
    return int(row[0])


def test_a_click_whose_commit_is_not_answered_is_not_told_as_undone(proxy: Proxy, connection: db.Connection) -> None:
    operations = Operations(proxy.dsn, Actor("local:tester", "cli"))
    operations.emit("departed", {})
    proxy.lose("reply", "COMMIT")
    with pytest.raises(OutcomeUnknown, match="Audit"):
        operations.emit("departed", {})
    assert count_messages(connection) == 2, "it was done"


def test_a_click_whose_connection_breaks_before_the_commit_is_undone(proxy: Proxy, connection: db.Connection) -> None:
    operations = Operations(proxy.dsn, Actor("local:tester", "cli"))
    proxy.lose("reply", "buslog.emit")
    with pytest.raises(DatabaseUnavailable) as raised:
        operations.emit("departed", {})
    assert not isinstance(raised.value, OutcomeUnknown)
    assert count_messages(connection) == 0


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("autocommit", [True, False])
async def test_an_emit_on_one_s_own_connection_leaves_its_outcome_open_only_in_autocommit(
    proxy: Proxy, connection: db.Connection, way: str, autocommit: bool
) -> None:
    connection.execute("SELECT buslog.emit('departed', '{}')")
    bus = Bus(host=False, settings=Settings(dsn=proxy.dsn))
    own = psycopg.connect(proxy.dsn, autocommit=autocommit)
    own_async = await psycopg.AsyncConnection.connect(proxy.dsn, autocommit=autocommit)
    proxy.lose("reply", "buslog.emit_lone")
    with pytest.raises(DatabaseUnavailable) as raised:
        bus.emit_within(own, "departed", {}) if way == "sync" else await bus.emit_within(own_async, "departed", {})
    own.close()
    await own_async.close()
    assert isinstance(raised.value, OutcomeUnknown) is autocommit
    assert count_messages(connection) == (2 if autocommit else 1)


class Rival:
    """A program of somebody's own that holds one dedupe key in a transaction and then wants the other."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn)
        self.connection.execute("SET deadlock_timeout = '30s'")  # the other one is to be the victim
        self._thread = threading.Thread(target=self._emit, args=("first",))

    def hold(self) -> None:
        self._emit("second")

    def cross(self) -> None:
        self._thread.start()

    def give_way(self) -> None:
        self._thread.join(20)
        self.connection.commit()
        self.connection.close()

    def _emit(self, dedupe_key: str) -> None:
        self.connection.execute("SELECT buslog.emit('departed', '{}', dedupe_key => %s)", [dedupe_key])


def waiting(connection: db.Connection) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    ).fetchone()
    return int(row[0]) if row else 0


async def test_an_emit_that_meets_a_deadlock_is_carried_out_again(dsn: str, connection: db.Connection) -> None:
    connection.execute("SELECT buslog.emit('departed', '{}')")  # a new name would let nobody else get that far
    # The server looks for a deadlock once in a wait, so long after it began: the rival has to have crossed by then.
    connection.execute(f"ALTER DATABASE {connection.info.dbname} SET deadlock_timeout = '3s'".encode())
    rival = Rival(dsn)
    rival.hold()
    async with Bus(host=False, settings=Settings(dsn=dsn)) as bus:
        emits = [bus.emit("departed", {}, dedupe_key=key) for key in ("first", "second")]
        while waiting(connection) < 1:
            await asyncio.sleep(0.01)
        rival.cross()
        leaving = asyncio.to_thread(rival.give_way)
        await asyncio.gather(leaving, *emits)
        told = [await emit for emit in emits]
    assert [type(one) for one in told] == [Emitted, Emitted]
    assert [one.duplicate for one in told] == [True, True], "the rival has said it"
    count = connection.execute("SELECT count(*) FROM buslog.messages").fetchone()
    assert count == (3,)


async def test_a_statement_that_is_rolled_back_again_and_again_is_given_up(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.connect(dsn) as connection:
        connection.execute(
            """CREATE SEQUENCE times;
               CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN PERFORM nextval('times'); RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$;
               CREATE TRIGGER never BEFORE INSERT ON buslog.names FOR EACH ROW EXECUTE FUNCTION never()"""
        )
        store = Store(dsn)
        await store.open()
        with pytest.raises(DatabaseUnavailable, match="serialization failure"):
            await store.emit_many([Said("departed", "{}")])
        await store.close()
        assert connection.execute("SELECT last_value FROM times").fetchone() == (db.TIMES,)


# ── what is sent along with an emit ─────────────────────────────────────────────


async def test_a_notification_that_is_sent_along_comes_after_the_commit(dsn: str, connection: db.Connection) -> None:
    connection.execute("LISTEN buslog")
    store = Store(dsn)
    await store.open()
    try:
        for _ in range(2):
            (stored,) = await store.emit_many([Said("departed", "{}")], notifying=True)
            (told,) = await asyncio.to_thread(lambda: list(connection.notifies(timeout=30, stop_after=1)))
            assert told.channel == "buslog"
            query = "SELECT count(*) FROM buslog.messages WHERE id = %s"
            assert connection.execute(query, [stored.message_id]).fetchone() == (1,)
    finally:
        await store.close()


async def test_a_refused_emit_is_told_as_such_also_with_a_notification_behind_it(
    dsn: str, connection: db.Connection
) -> None:
    store = Store(dsn)
    await store.open()
    try:
        for _ in range(2):
            with pytest.raises(InvalidMessage, match="character"):
                await store.emit_many([Said("x" * 300, "{}")], notifying=True)
            await store.emit_many([Said("departed", "{}")], notifying=True)
    finally:
        await store.close()
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (2,)


async def test_what_becomes_of_the_second_statement_changes_nothing_for_the_first(
    dsn: str, connection: db.Connection
) -> None:
    said = (*Said("departed", "{}"), None, "{}", 0)
    async with await db.connect_async(dsn) as own:
        cursor = own.cursor(binary=True)
        for _ in range(2):
            assert await db.fetch(cursor, "emit_lone", said, then="settle")  # which lacks its values
            assert db.is_idle(own)
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (2,)


@pytest.mark.parametrize("then", [None, "notify"])
@pytest.mark.parametrize("broken", ["known", "unknown"])
async def test_a_broken_connection_does_not_give_the_answer_of_the_emit_before(
    dsn: str, connection: db.Connection, then: str | None, broken: str
) -> None:
    said = (*Said("departed", "{}"), None, "{}", 0)
    own = await db.connect_async(dsn)
    cursor = own.cursor(binary=True)
    assert await db.fetch(cursor, "emit_lone", said, then=then)
    if broken == "known":
        await own.close()
    else:
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [own.info.backend_pid])
    with pytest.raises(psycopg.OperationalError):
        await db.fetch(cursor, "emit_lone", said, then=then)
    await own.close()
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (1,)


FAILS_AT_COMMIT: LiteralString = """
    CREATE TABLE checked_late (n integer);
    CREATE SEQUENCE times;
    CREATE FUNCTION refuse_late() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('times') % 2 = 1 THEN RAISE EXCEPTION 'told'; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON checked_late DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse_late();
"""
TRIGGER_OF_SOMEBODY: LiteralString = """
    CREATE FUNCTION note_late() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO checked_late VALUES (1); RETURN NULL; END $$;
    CREATE TRIGGER noted AFTER INSERT ON buslog.messages FOR EACH STATEMENT EXECUTE FUNCTION note_late();
"""


@pytest.fixture(params=["never", "at the notification", "at the end"])
def held_up(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is held up for a moment in mid-emit, and then finds more answers at once."""
    execute, leave = psycopg.AsyncCursor.execute, psycopg.AsyncPipeline.__aexit__

    async def execute_late(self: db.AsyncCursor, query: Any, *given: Any, **named: Any) -> Any:
        if query == db.query("notify"):
            time.sleep(0.02)
        return await execute(self, query, *given, **named)

    async def leave_late(self: psycopg.AsyncPipeline, *given: Any) -> None:
        time.sleep(0.02)
        await leave(self, *given)

    if request.param == "at the notification":
        monkeypatch.setattr(psycopg.AsyncCursor, "execute", execute_late)
    elif request.param == "at the end":
        monkeypatch.setattr(psycopg.AsyncPipeline, "__aexit__", leave_late)


@pytest.mark.usefixtures("held_up")
async def test_an_emit_whose_commit_fails_is_not_confirmed_because_it_had_been_answered(
    dsn: str, connection: db.Connection
) -> None:
    connection.execute("SELECT buslog.emit('departed', '{}')")
    connection.execute(FAILS_AT_COMMIT)
    connection.execute(TRIGGER_OF_SOMEBODY)
    store = Store(dsn)
    await store.open()
    try:
        for stored in range(1, 6):
            with pytest.raises(DatabaseUnavailable) as raised:
                await store.emit_many([Said("departed", "{}")], notifying=True)
            assert not isinstance(raised.value, OutcomeUnknown)
            assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (stored,)
            await store.emit_many([Said("departed", "{}")], notifying=True)
    finally:
        await store.close()
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (6,)


@pytest.mark.usefixtures("held_up")
async def test_a_notification_whose_commit_fails_changes_nothing_for_the_emit(
    dsn: str, connection: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the server's queue of notifications is full."""
    connection.execute(FAILS_AT_COMMIT)
    ask = db.query
    monkeypatch.setattr(
        db, "query", lambda name: "INSERT INTO checked_late VALUES (1)" if name == "notify" else ask(name)
    )
    store = Store(dsn)
    await store.open()
    try:
        for _ in range(3):
            await store.emit_many([Said("departed", "{}")], notifying=True)
    finally:
        await store.close()
    assert connection.execute("SELECT last_value FROM times").fetchone() == (3,), "one in two fails"
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (3,)


@pytest.mark.parametrize("notifying", [True, False])
async def test_a_migration_that_changes_an_answer_s_type_does_not_end_the_emits_of_who_runs(
    dsn: str, connection: db.Connection, notifying: bool
) -> None:
    """The server refuses what was prepared before; the connection, and what is prepared on it, are kept for long."""
    store = Store(dsn)
    await store.open()
    try:
        await store.emit_many([Said("departed", "{}")], notifying=notifying)
        row = connection.execute("SELECT pg_get_functiondef('buslog.emit_lone'::regproc)").fetchone()
        assert row is not None
        connection.execute("DROP FUNCTION buslog.emit_lone CASCADE")
        connection.execute(row[0].replace("OUT routed smallint", "OUT routed integer"))
        for _ in range(2):
            (stored,) = await store.emit_many([Said("departed", "{}")], notifying=notifying)
            assert stored.routed == 0
    finally:
        await store.close()
    assert count_messages(connection) == 3


async def test_a_settle_that_meets_a_deadlock_is_carried_out_again(scene: Scene, dsn: str) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    (claimed,) = await scene.claim()
    with db.connect(dsn) as connection:
        connection.execute(
            """CREATE SEQUENCE times;
               CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN
                   IF nextval('times') = 1 THEN RAISE EXCEPTION 'once' USING ERRCODE = '40P01'; END IF;
                   RETURN OLD;
               END $$;
               CREATE TRIGGER once BEFORE DELETE ON buslog.deliveries FOR EACH ROW EXECUTE FUNCTION once()"""
        )
    assert await scene.settle(claimed)


# ── the DSN ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("options", ["-c default_transaction_isolation=serializable", "-c statement_timeout=5000"])
def test_options_of_one_s_own_keep_the_isolation_that_the_functions_count_on(dsn: str, options: str) -> None:
    own = f"{dsn}&options={quote(options)}"
    with db.connect(db.checked_dsn(own)) as connection:
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)
        if "statement_timeout" in options:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("5s",)


def test_no_error_carries_the_password(dsn: str) -> None:
    for given in ("postgresql://u:secret@127.0.0.1:1/x", "host=127.0.0.1 port=1 password=secret", "nonsense=secret"):
        with pytest.raises(BuslogError) as error:
            db.connect(given)
        assert "secret" not in str(error.value)
        assert isinstance(error.value, DatabaseUnavailable | Misconfigured)


@pytest.mark.parametrize("way", ["alone", "of the pool"])
def test_a_connection_that_reads_can_write_nothing_and_is_given_two_seconds(dsn: str, way: str) -> None:
    pool = db.make_reading_pool(dsn)
    connection = db.connect_to_read(dsn) if way == "alone" else pool.connect()
    try:
        row = connection.cursor().execute("SHOW statement_timeout").fetchone()
        assert row == (f"{db.LOOK_MS // 1000}s",)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.cursor().execute("INSERT INTO buslog.names VALUES ('x', 'event', now())")
    finally:
        connection.close()
        pool.dispose()
