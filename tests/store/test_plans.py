"""What the hot queries read: counted by PostgreSQL itself, because EXPLAIN does not see into functions.

The table is as bad as it gets: 20,000 dead rows that a snapshot held open elsewhere keeps, analysed while it was empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest

from buslog import db
from buslog.filter import Filter, Range
from buslog.insights.rows import frozen_set
from buslog.insights.statements import composed
from buslog.message import State

DEAD = 20_000


@pytest.fixture
def report(dsn: str) -> Iterator[db.Connection]:
    """A long transaction: a report, a backup."""
    with db.connect(dsn) as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM buslog.deliveries")
        yield connection


def register(connection: db.Connection, subscription: str, name: str, options: str = "{}") -> int:
    row = connection.execute(
        "SELECT buslog.register(%s, ARRAY[%s], 'event', %s, NULL, '', '')", (subscription, name, options)
    ).fetchone()
    assert row is not None
    return int(row[0])


def emit(connection: db.Connection, name: str, count: int, key: str | None = None) -> None:
    connection.execute(
        """SELECT count(*) FROM buslog.emit_many(
               array_fill(%s::text, ARRAY[%s]), array_fill('{}'::jsonb, ARRAY[%s]), array_fill(%s::text, ARRAY[%s]),
               NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'sql', NULL, NULL, '{}', 0)""",
        (name, count, count, key, count),
    )


def enter(connection: db.Connection) -> int:
    row = connection.execute(
        """INSERT INTO buslog.workers (worker, version, hosts, lease_until)
           VALUES ('host:1', '', '{}', clock_timestamp() + interval '1 hour') RETURNING id"""
    ).fetchone()
    assert row is not None
    return int(row[0])


def claim(
    connection: db.Connection, worker: int, hosts: list[int], places: int, floors: list[int] | None = None
) -> list[tuple[UUID, int, int]]:
    rows = connection.execute(
        "SELECT message_id, subscription_id, ready_seq FROM buslog.claim(%s, %s, %s, %s)",
        (worker, hosts, floors, places),
    ).fetchall()
    return [(row[0], row[1], row[2]) for row in rows]


def settle(connection: db.Connection, claimed: list[tuple[UUID, int, int]]) -> None:
    messages, subscriptions, fences = (list(column) for column in zip(*claimed, strict=True))
    connection.execute(
        """SELECT buslog.settle(%s, %s, %s, %s, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'host:1', '', false)""",
        (messages, subscriptions, fences, ["succeeded"] * len(claimed)),
    )


@contextmanager
def reading(connection: db.Connection, *, at_most: int | None = None, at_least: int = 0) -> Iterator[None]:
    """How many rows and index entries of the live deliveries, the dead ones with them, are read in the block."""
    with connection.transaction():
        before = _read(connection)
        yield
        found = _read(connection) - before
    assert found >= at_least
    assert at_most is None or found <= at_most


def _read(connection: db.Connection) -> int:
    row = connection.execute(
        """SELECT pg_stat_get_xact_tuples_returned('buslog.deliveries'::regclass)
                  + coalesce(sum(pg_stat_get_xact_tuples_returned(indexrelid)), 0)
           FROM pg_index WHERE indrelid = 'buslog.deliveries'::regclass"""
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def bloated(connection: db.Connection, report: db.Connection) -> tuple[int, int, int]:
    """A subscription, a worker, and the highest fence of what was claimed and settled while the report ran."""
    subscription, worker = register(connection, "mail", "departed"), enter(connection)
    highest = 0
    emit(connection, "departed", DEAD)
    while claimed := claim(connection, worker, [subscription], 5_000):
        highest = max(highest, *(fence for _, _, fence in claimed))
        settle(connection, claimed)
    connection.execute("VACUUM (ANALYZE) buslog.deliveries")
    return subscription, worker, highest


def test_a_claim_with_a_floor_does_not_walk_what_is_dead(
    connection: db.Connection, bloated: tuple[int, int, int]
) -> None:
    subscription, worker, highest = bloated
    emit(connection, "departed", 10)
    with reading(connection, at_most=200):
        assert len(claim(connection, worker, [subscription], 20, [highest])) == 10


def test_without_a_floor_it_would(connection: db.Connection, bloated: tuple[int, int, int]) -> None:
    subscription, worker, _ = bloated
    emit(connection, "departed", 10)
    with reading(connection, at_least=DEAD):  # or the test above shows nothing
        assert len(claim(connection, worker, [subscription], 20)) == 10


def test_a_settle_reads_what_it_settles(connection: db.Connection, bloated: tuple[int, int, int]) -> None:
    subscription, worker, highest = bloated
    emit(connection, "departed", 10)
    claimed = claim(connection, worker, [subscription], 20, [highest])
    with reading(connection, at_most=200):
        settle(connection, claimed)


@pytest.mark.parametrize("options", ['{"ordered_by_key": true}', '{"mode": "serial"}'])
def test_a_settle_that_opens_the_next_reads_no_more(
    connection: db.Connection, bloated: tuple[int, int, int], options: str
) -> None:
    _, worker, _ = bloated
    hosts = [register(connection, f"step {number}", "booked", options) for number in range(3)]
    emit(connection, "booked", 10, key="S-42")
    claimed = claim(connection, worker, hosts, 20)
    assert claimed
    with reading(connection, at_most=2_000):
        settle(connection, claimed)
    assert claim(connection, worker, hosts, 20)


def test_the_looks_of_every_poll_read_nothing_where_nothing_is(
    connection: db.Connection, bloated: tuple[int, int, int]
) -> None:
    subscription, worker, highest = bloated
    with reading(connection, at_most=200):
        connection.execute("SELECT buslog.promote_due(200)")
        connection.execute("SELECT count(*) FROM buslog.claim_alone(%s, %s)", (worker, [subscription]))
        assert claim(connection, worker, [subscription], 20, [highest]) == []


def test_a_backlog_of_one_subscription_costs_the_claims_of_another_nothing(connection: db.Connection) -> None:
    busy, quiet = register(connection, "busy", "departed"), register(connection, "quiet", "arrived")
    worker = enter(connection)
    emit(connection, "departed", DEAD)
    emit(connection, "arrived", 5)
    connection.execute("ANALYZE buslog.deliveries")
    with reading(connection, at_most=200):
        assert len(claim(connection, worker, [quiet], 20)) == 5
    with reading(connection, at_most=400):
        assert len(claim(connection, worker, [busy, quiet], 20)) == 20


def test_an_emit_reads_no_live_delivery(connection: db.Connection, bloated: tuple[int, int, int]) -> None:
    with reading(connection, at_most=200):
        emit(connection, "departed", 100)


def test_what_supersedes_is_found_without_a_look_at_what_else_its_key_has_seen(connection: db.Connection) -> None:
    subscription = register(connection, "mail", "departed")
    emit(connection, "departed", 1, "S-1")
    emit(connection, "other", 500, "S-1")
    emit(connection, "departed", 500, "S-2")
    connection.execute("DELETE FROM buslog.deliveries")
    row = connection.execute(
        """WITH run AS (
               INSERT INTO buslog.replays (verb, filter, actor, cutoff)
               SELECT 'replay', '', 'host', m.id FROM buslog.messages m ORDER BY m.id DESC LIMIT 1 RETURNING id)
           INSERT INTO buslog.replay_items (replay_id, message_id, subscription_id, generation, was)
           SELECT run.id, m.id, %s, 1, 'failed' FROM run, buslog.messages m WHERE m.name = 'departed' AND m.key = 'S-1'
           RETURNING replay_id""",
        (subscription,),
    ).fetchone()
    connection.execute("VACUUM (ANALYZE) buslog.messages")
    with connection.transaction():
        before = _messages_fetched(connection)
        assert connection.execute("SELECT buslog.mark_superseded(%s)", row).fetchone() == (0,)
        assert _messages_fetched(connection) - before < 5


def test_the_failed_that_a_run_freezes_are_found_without_a_look_at_the_log(connection: db.Connection) -> None:
    statement = composed(frozen_set(Filter(states=(State.FAILED,), range=Range.WEEK), datetime.now(UTC)))
    (plan,) = connection.execute(b"EXPLAIN (FORMAT JSON) " + statement.text, statement.fixed).fetchall()
    assert set(re.findall(r"'Relation Name': '(\w+)'", str(plan))) == {"failures"}


def _messages_fetched(connection: db.Connection) -> int:
    """How many rows of messages were looked at by way of an index."""
    row = connection.execute(
        """SELECT sum(pg_stat_get_xact_tuples_fetched(indexrelid)) FROM pg_index
           WHERE indrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'buslog.messages'::regclass)"""
    ).fetchone()
    assert row is not None
    return int(row[0])
