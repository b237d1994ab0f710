"""A lone emit goes a shorter way than many do. Whatever is said, both ways say the same of it."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import pytest

from buslog import db

NAMES = ("departed", "arrived", "shipmentDelayed", "Unfallmeldung")
PATTERNS = ("*", "ship*", "*ed")
CASES = 40

LONE = """
SELECT * FROM buslog.emit_lone(
    %(name)s, %(payload)s::text::jsonb, %(key)s, %(correlation)s::uuid, %(cause)s::uuid, NULL, %(delay)s::float8, NULL,
    %(dedupe)s, 60, 'bus', NULL, %(worker)s::bigint, %(hosts)s::int[], %(started)s)"""
MANY = """
SELECT message_id, kind, key, emitted_at, correlation_id, routed, leased, fences, awaited, duplicate
FROM buslog.emit_many(
    ARRAY[%(name)s], ARRAY[%(payload)s::text::jsonb], ARRAY[%(key)s], ARRAY[%(correlation)s::uuid],
    ARRAY[%(cause)s::uuid], ARRAY[NULL]::text[], ARRAY[%(delay)s::float8], ARRAY[NULL]::timestamptz[],
    CASE WHEN %(dedupe)s::text IS NOT NULL THEN ARRAY[%(dedupe)s] END, ARRAY[60]::float8[], 'bus', NULL,
    %(worker)s::bigint, %(hosts)s::int[], %(started)s)"""


def subscribe(connection: db.Connection, dice: random.Random, number: int) -> None:
    options: dict[str, Any] = {
        "mode": dice.choice(["async", "async", "sync", "serial"]),
        "position": dice.randrange(3),
        "chain_order": dice.randrange(2),
        "ordered_by_key": dice.random() < 0.2,
        "concurrency": dice.choice([None, None, None, 2]),
    }
    if options["mode"] != "async":
        options |= {"ordered_by_key": False, "concurrency": None}
    names = dice.sample(NAMES, dice.randrange(1, 3)) if dice.random() < 0.8 else [dice.choice(PATTERNS)]
    connection.execute(
        "SELECT buslog.register(%s, %s, 'event', %s, NULL, '', 'x')", (f"s{number}", names, json.dumps(options))
    )


def change(connection: db.Connection, dice: random.Random, number: int) -> None:
    """What may change the recipients of a name."""
    some = f"s{dice.randrange(number + 1)}"
    match dice.randrange(4):
        case 0:
            subscribe(connection, dice, number)
        case 1:
            connection.execute("SELECT buslog.unregister(%s, %s)", (some, [dice.choice(NAMES)]))
        case 2:
            connection.execute(
                "UPDATE buslog.subscriptions SET paused_at = CASE WHEN paused_at IS NULL THEN now() END"
                " WHERE subscription = %s", (some,),
            )  # fmt: skip
        case _:
            hours = dice.choice([-1, 1, 1])
            connection.execute("UPDATE buslog.workers SET lease_until = now() + %s * interval '1 hour'", (hours,))


def said(connection: db.Connection, dice: random.Random, worker: int, earlier: uuid.UUID | None) -> dict[str, Any]:
    hosts = [row[0] for row in connection.execute("SELECT id FROM buslog.subscriptions").fetchall()]
    return {
        "name": dice.choice(NAMES),
        "payload": dice.choice(['{"shipmentId": "S-1"}', '{"shipmentId": 7}', "{}", '{"shipmentId": null}']),
        "key": dice.choice([None, None, "K-1"]),
        "correlation": dice.choice([None, None, uuid.UUID(int=7)]),
        "cause": dice.choice([None, earlier, uuid.UUID(int=9)]),
        "delay": dice.choice([None, None, None, 0.0, 60.0]),
        "dedupe": None,
        "worker": dice.choice([None, worker, worker, 999_999]),
        "hosts": dice.sample(hosts, dice.randrange(len(hosts) + 1)),
        "started": dice.choice([0, 1, 5]),
    }


def stored(connection: db.Connection, way: Any, values: dict[str, Any]) -> tuple[Any, ...]:
    """What was answered and what the tables hold, but for what is drawn anew each time."""
    row = connection.execute(way, values).fetchone()
    assert row is not None
    message, kind, key, emitted_at, correlation, routed, leased, fences, awaited, duplicate = row
    held = connection.execute(
        """SELECT kind, routed, id = correlation_id, nullif(correlation_id, id), causation_id,
                  name, key, source, actor, traceparent, payload
           FROM buslog.messages WHERE id = %s""", (message,),
    ).fetchall()  # fmt: skip
    born = connection.execute(
        """SELECT subscription_id, generation, attempt, chain, state, order_key, worker_id, sequenced,
                  rank() OVER (ORDER BY ready_seq), ready_seq IS NULL, due_at IS NULL, started_at IS NULL
           FROM buslog.deliveries WHERE message_id = %s ORDER BY subscription_id""", (message,),
    ).fetchall()  # fmt: skip
    in_order = [number for _, number in sorted(zip(fences or (), leased or (), strict=True))]
    is_its_own = correlation in {message, None}
    answered = (kind, key, emitted_at is None, is_its_own, routed, in_order, sorted(awaited or ()), duplicate)
    return answered, held, born


@pytest.mark.parametrize("seed", range(3))
def test_a_lone_emit_and_many_say_the_same(dsn: str, connection: db.Connection, seed: int) -> None:
    dice = random.Random(seed)
    row = connection.execute(
        "INSERT INTO buslog.workers (worker, version, hosts, lease_until)"
        " VALUES ('here', '1', '{}', now() + interval '1 hour') RETURNING id"
    ).fetchone()
    assert row is not None
    earlier, seen = None, set()
    for number in range(CASES):
        change(connection, dice, number)
        for _ in range(3):
            values = said(connection, dice, row[0], earlier)
            lone = stored(connection, LONE, values)
            assert lone == stored(connection, MANY, values), values
            seen |= {delivery[4] for delivery in lone[2]}
        earlier = connection.execute("SELECT max(id::text)::uuid FROM buslog.messages").fetchall()[0][0]
    assert seen == {"running", "pending", "blocked", "scheduled"}, "the cases have met every birth"


@pytest.mark.parametrize(
    ("name", "payload", "key"),
    [
        ("", "{}", None),
        ("x" * 201, "{}", None),
        ("a", "[1]", None),
        ("a", "{}", ""),
        ("a", f'{{"shipmentId": "{"k" * 201}"}}', None),
    ],
)
def test_both_ways_refuse_the_same_in_the_same_words(
    connection: db.Connection, name: str, payload: str, key: str | None
) -> None:
    connection.execute("SELECT buslog.register('s', ARRAY['a'], 'event', '{}', NULL, '', 'x')")
    connection.execute("SELECT buslog.emit('a', '{}')")
    values = dict.fromkeys(["correlation", "cause", "delay", "dedupe", "worker"]) | {"hosts": [], "started": 0}
    told = []
    for way in (LONE, MANY):
        with pytest.raises(Exception, match=r"BL001|was") as refused, connection.transaction():
            connection.execute(way, {**values, "name": name, "payload": payload, "key": key})
        told.append(str(refused.value).splitlines()[0])
    assert told[0] == told[1]


def test_a_dedupe_key_in_use_is_told_alike(connection: db.Connection) -> None:
    values = dict.fromkeys(["correlation", "cause", "delay", "key", "worker"]) | {"hosts": [], "started": 0}
    values |= {"name": "a", "payload": "{}", "dedupe": "once"}
    first, again, many = (connection.execute(way, values).fetchall()[0] for way in (LONE, LONE, MANY))
    assert first[-1] is False
    assert again == many
    assert (again[0], again[-1]) == (first[0], True)


def test_a_name_routed_anew_by_an_open_transaction_holds_nobody_up_and_reaches_everybody(
    dsn: str, connection: db.Connection
) -> None:
    connection.execute("SELECT buslog.emit('a', '{}')")
    connection.execute("SELECT buslog.register('s', ARRAY['a'], 'event', '{}', NULL, '', 'x')")
    with db.connect(dsn) as other, other.transaction():
        other.execute("SELECT buslog.emit('a', '{}')")  # finds the recipients of the name, and stores them
        connection.execute("SET lock_timeout = '2s'")
        connection.execute("SELECT buslog.emit('a', '{}')")
        connection.execute("SELECT buslog.register('t', ARRAY['a'], 'event', '{}', NULL, '', 'x')")
        connection.execute("SELECT buslog.emit('a', '{}')")
    rows = connection.execute("SELECT routed FROM buslog.messages ORDER BY emitted_at").fetchall()
    assert [row[0] for row in rows] == [0, 1, 1, 2]
    connection.execute("SELECT buslog.emit('a', '{}')")
    assert connection.execute("SELECT max(cardinality(recipients)) FROM buslog.names").fetchone() == (2,)


def test_an_emit_in_a_snapshot_that_does_not_move_finds_the_recipients_of_its_snapshot(
    dsn: str, connection: db.Connection
) -> None:
    connection.execute("SELECT buslog.emit('a', '{}')")
    connection.execute("SELECT buslog.register('s', ARRAY['a'], 'event', '{}', NULL, '', 'x')")
    with db.connect(dsn) as other, other.transaction():
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT FROM buslog.names")
        connection.execute("SELECT buslog.emit('a', '{}')")  # stores what the other one would store
        other.execute("SELECT buslog.emit('a', '{}')")
    assert connection.execute("SELECT count(*) FROM buslog.messages WHERE routed = 1").fetchone() == (2,)
