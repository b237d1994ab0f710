from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from buslog import Bus, Message, db
from buslog.errors import InvalidMessage

from .conftest import log_rows, states, until

PAYLOAD = {"shipmentId": "S-42"}


def url(dsn: str) -> str:
    return dsn.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def engine(dsn: str) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(url(dsn))
    yield made
    made.dispose()


def emitted(connection: db.Connection) -> list[tuple[object, ...]]:
    return log_rows(connection, "key, state", "departed")


KEPT = [("S-42", "unrouted")]


@pytest.mark.parametrize("commits", [True, False])
def test_an_emit_commits_and_rolls_back_with_its_caller_in_psycopg(
    bus: Bus, dsn: str, connection: db.Connection, commits: bool
) -> None:
    with psycopg.connect(dsn, row_factory=dict_row) as own:
        bus.emit_within(own, "departed", PAYLOAD)
        assert emitted(connection) == []
        own.commit() if commits else own.rollback()
    assert emitted(connection) == (KEPT if commits else [])


@pytest.mark.parametrize("commits", [True, False])
async def test_an_emit_commits_and_rolls_back_with_its_caller_in_async_psycopg(
    bus: Bus, dsn: str, connection: db.Connection, commits: bool
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as own:
        result = await bus.emit_within(own, "departed", PAYLOAD)
        assert (emitted(connection), result.routed) == ([], 0)
        await (own.commit() if commits else own.rollback())
    assert emitted(connection) == (KEPT if commits else [])


class OwnSession(Session):
    """As SQLModel's, or an application's."""


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("kind", [sqlalchemy.Engine.connect, Session, OwnSession])
def test_an_emit_commits_and_rolls_back_with_its_caller_in_sqlalchemy(
    bus: Bus,
    engine: sqlalchemy.Engine,
    connection: db.Connection,
    kind: Callable[[sqlalchemy.Engine], sqlalchemy.Connection | Session],
    commits: bool,
) -> None:
    with kind(engine) as own:
        bus.emit_within(own, "departed", PAYLOAD)
        assert emitted(connection) == []
        own.commit() if commits else own.rollback()
    assert emitted(connection) == (KEPT if commits else [])


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("kind", ["connection", "session"])
async def test_an_emit_commits_and_rolls_back_with_its_caller_in_async_sqlalchemy(
    bus: Bus, dsn: str, connection: db.Connection, kind: str, commits: bool
) -> None:
    engine = create_async_engine(url(dsn))
    async with engine.connect() if kind == "connection" else AsyncSession(engine) as own:
        await bus.emit_within(own, "departed", PAYLOAD)
        assert emitted(connection) == []
        await (own.commit() if commits else own.rollback())
    await engine.dispose()
    assert emitted(connection) == (KEPT if commits else [])


async def test_a_sync_subscriber_is_refused_in_an_open_transaction_which_stays_usable(bus: Bus, dsn: str) -> None:
    async def status(message: Message) -> None: ...

    bus.on("departed", status, mode="sync", id="status")
    async with bus, await psycopg.AsyncConnection.connect(dsn) as own:
        with pytest.raises(InvalidMessage, match="emit after the commit"):
            await bus.emit_within(own, "departed", PAYLOAD)
        assert (await (await own.execute("SELECT 1")).fetchone()) == (1,)
        await bus.emit_within(own, "departed", PAYLOAD, after=3600)


async def test_what_was_emitted_in_a_transaction_is_delivered_after_its_commit_and_belongs_to_its_thread(
    bus: Bus, dsn: str, connection: db.Connection
) -> None:
    def departed(message: Message) -> None:
        with psycopg.connect(dsn) as own:
            own.execute("CREATE TABLE IF NOT EXISTS invoices (key text)")
            own.execute("INSERT INTO invoices VALUES (%s)", [message.key])
            bus.emit_within(own, "invoiced", {"shipmentId": message.key})

    async def invoiced(message: Message) -> None: ...

    bus.on("departed", departed, id="billing")
    bus.on("invoiced", invoiced, id="archive")
    async with bus:
        root = await bus.emit("departed", PAYLOAD)
        await until(lambda: states(connection) == {"billing": "succeeded", "archive": "succeeded"})
    assert log_rows(connection, "correlation_id, causation_id", "invoiced") == [(root.id, root.id)]


async def test_a_dedupe_key_holds_across_transactions(bus: Bus, dsn: str, connection: db.Connection) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as own:
        first = await bus.emit_within(own, "departed", PAYLOAD, dedupe_key="once")
        second = await bus.emit_within(own, "departed", PAYLOAD, dedupe_key="once")
    assert (second.id, second.duplicate) == (first.id, True)
    assert emitted(connection) == KEPT
