from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest

from buslog import db
from buslog.errors import InvalidMessage
from buslog.store import Said

from .conftest import Scene


def count(connection: db.Connection, table: str = "messages") -> int:
    row = connection.execute(f"SELECT count(*) FROM buslog.{table}").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_message_and_its_deliveries_are_stored_in_one_commit(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail")
    await scene.subscribe("task")
    await scene.subscribe("other", name="arrived")
    await scene.emit()
    rows = connection.execute(
        "SELECT kind, name, key, subscription, mode, state, attempts FROM buslog.log ORDER BY subscription"
    ).fetchall()
    assert rows == [
        ("event", "departed", "S-42", "mail", "async", "pending", 0),
        ("event", "departed", "S-42", "task", "async", "pending", 0),
    ]


async def test_emit_by_sql_rolls_back_with_its_caller(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail")
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT buslog.emit('departed', '{}')")
        assert count(connection, "deliveries") == 1
    assert (count(connection), count(connection, "deliveries")) == (0, 0)


def test_a_message_that_nobody_subscribed_to_is_kept_as_unrouted(connection: db.Connection) -> None:
    connection.execute("SELECT buslog.emit('departed', '{\"shipmentId\": 42}')")
    assert connection.execute("SELECT state, key FROM buslog.log").fetchall() == [("unrouted", "42")]


def test_a_caused_message_joins_the_thread_of_its_cause(connection: db.Connection) -> None:
    (root,) = connection.execute("SELECT buslog.emit('a', '{}')").fetchone() or ()
    (child,) = connection.execute("SELECT buslog.emit('b', '{}', causation_id => %s)", [root]).fetchone() or ()
    rows = connection.execute("SELECT id, correlation_id FROM buslog.messages ORDER BY id").fetchall()
    assert rows == [(root, root), (child, root)]


def test_a_given_key_goes_before_the_payload_s(connection: db.Connection) -> None:
    connection.execute("SELECT buslog.emit('a', '{\"shipmentId\": \"S-1\"}', 'S-2')")
    assert connection.execute("SELECT key FROM buslog.log").fetchone() == ("S-2",)


async def test_the_key_field_is_a_setting_for_sql_and_python_alike(scene: Scene, connection: db.Connection) -> None:
    await scene.store.set_key_field("booking.number")
    connection.execute('SELECT buslog.emit(\'a\', \'{"booking": {"number": "B-1"}, "shipmentId": "S-1"}\')')
    assert connection.execute("SELECT key FROM buslog.log").fetchone() == ("B-1",)


BAD = {
    "an empty name": ("", "{}", None, "name"),
    "a name of blanks": ("  ", "{}", None, "name"),
    "a long name": ("x" * 300, "{}", None, "name"),
    "a control character": ("a\nb", "{}", None, "name"),
    "an array": ("a", "[]", None, "payload"),
    "a scalar": ("a", "3", None, "payload"),
    "nothing": ("a", None, None, "payload"),
    "NUL": ("a", '{"a": "\\u0000"}', None, "payload"),
    "NaN": ("a", '{"a": NaN}', None, "payload"),
    "a lone surrogate": ("a", '{"a": "\\ud800"}', None, "payload"),
    "too deep": ("a", '{"a":' * 66 + "1" + "}" * 66, None, "payload"),
    "too deep by arrays": ("a", '{"a":' + "[" * 70 + "]" * 70 + "}", None, "payload"),
    "too large": ("a", json.dumps({"a": "x" * 1_000_001}), None, "payload"),
    "too many digits": ("a", '{"a": ' + "1" * 4001 + "}", None, "payload"),
    "too many digits below zero": ("a", '{"a": [-1' + "0" * 4001 + "]}", None, "payload"),
    "a huge exponent": ("a", '{"a": 1e100000, "b": "' + "x" * 0 + '"}', None, "payload"),
    "a long key": ("a", "{}", "k" * 201, "key"),
    "a long key in the payload": ("a", json.dumps({"shipmentId": "k" * 201}), None, "key"),
}


@pytest.mark.parametrize("case", BAD)
def test_sql_refuses_what_would_harm_the_log_in_the_one_shape(connection: db.Connection, case: str) -> None:
    name, payload, key, field = BAD[case]
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT buslog.emit(%s, %s::jsonb, %s)", [name, payload, key])
    error = db.translate(caught.value)
    assert isinstance(error, InvalidMessage)
    assert (error.field, bool(error.rule), bool(error.mend)) == (field, True, True)
    assert count(connection) == 0


def test_the_deepest_the_longest_and_the_largest_allowed_are_stored(connection: db.Connection) -> None:
    connection.execute("SELECT buslog.emit(%s, %s)", ["x" * 200, '{"a":' * 63 + '{"a": 1}' + "}" * 63])
    connection.execute("SELECT buslog.emit('a', %s)", ['{"a": ' + "9" * 4000 + "}"])
    connection.execute("SELECT buslog.emit('a', jsonb_build_object('a', repeat('x', 999990)))")
    connection.execute("SELECT buslog.emit('a', %s)", [json.dumps({"text": '1e99999 "[[[[" ' * 1000, "n": 1})])
    assert count(connection) == 4


async def test_one_bad_message_stores_nothing_of_its_batch(scene: Scene, connection: db.Connection) -> None:
    with pytest.raises(InvalidMessage):
        await scene.store.emit_many([Said("good", "{}"), Said("", "{}"), Said("good", "{}")])
    assert count(connection) == 0


async def test_many_keep_their_order_and_their_own_values(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail", name="n0")
    said = [Said(f"n{i % 3}", json.dumps({"i": i}), key=f"k{i}" if i % 2 else None) for i in range(100)]
    stored = await scene.store.emit_many(said)
    rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT id, name, key, (payload->>'i')::int, routed FROM buslog.messages ORDER BY id"
    ).fetchall()
    assert [row[0] for row in rows] == [s.message_id for s in stored]
    assert [row[1:] for row in rows] == [
        (f"n{i % 3}", f"k{i}" if i % 2 else None, i, int(i % 3 == 0)) for i in range(100)
    ]
    assert [s.routed for s in stored] == [int(i % 3 == 0) for i in range(100)]


async def test_what_can_start_here_is_born_leased_and_no_more(scene: Scene, connection: db.Connection) -> None:
    from buslog.store import Lease

    mail, sync = await scene.subscribe("mail"), await scene.subscribe("status", mode="sync")
    elsewhere = await scene.subscribe("elsewhere")
    lease = Lease(scene.worker, [mail, sync], places=2)
    stored = await scene.store.emit_many([Said("departed", "{}")] * 4, lease)
    assert [s.leased for s in stored] == [[mail, sync], [mail, sync], [sync], [sync]]
    states: dict[str, int] = dict(
        connection.execute("SELECT state::text, count(*) FROM buslog.deliveries GROUP BY 1").fetchall()
    )
    assert states == {"running": 6, "pending": 6}
    assert elsewhere not in {n for s in stored for n in s.leased}


async def test_a_retired_worker_is_leased_nothing(scene: Scene) -> None:
    from buslog.store import Lease

    mail = await scene.subscribe("mail")
    stored = await scene.store.emit_many([Said("departed", "{}")], Lease(987654, [mail], places=5))
    assert not stored[0].leased


async def test_registering_one_command_twice_is_refused(scene: Scene) -> None:
    from buslog import Bus
    from buslog.errors import InvalidSubscription

    for given, kind in (("first", "command"), ("second", "command"), ("third", "on")):
        bus = Bus()
        getattr(bus, kind)("resync", id=given)(lambda _: None)
        (subscription,) = bus._registry
        if given == "first":
            await scene.store.register(subscription, "")
        else:
            with pytest.raises(InvalidSubscription, match="only one of a command"):
                await scene.store.register(subscription, "")


async def test_a_message_of_a_command_s_name_is_a_command(scene: Scene, connection: db.Connection) -> None:
    from buslog import Bus

    bus = Bus()
    bus.command("resync", id="r")(lambda _: None)
    (subscription,) = bus._registry
    await scene.store.register(subscription, "")
    connection.execute("SELECT buslog.emit('resync', '{}')")
    assert connection.execute("SELECT kind, subscription, state FROM buslog.log").fetchall() == [
        ("command", "r", "pending")
    ]


# ── dedupe ──────────────────────────────────────────────────────────────────────


def once(key: str | None, n: int = 0, window: float = 60.0) -> Said:
    return Said("departed", json.dumps({"n": n}), dedupe_key=key, dedupe_window=None if key is None else window)


async def test_a_dedupe_key_in_use_stores_nothing_and_tells_the_first_message(
    scene: Scene, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    (first,) = await scene.store.emit_many([once("a")])
    again = await scene.store.emit_many([once("b", 1), once("a", 2), once(None, 3), once("b", 4)])
    assert [s.duplicate for s in again] == [False, True, False, True]
    assert (again[1].message_id, again[3].message_id) == (first.message_id, again[0].message_id)
    rows = connection.execute("SELECT id, (payload->>'n')::int FROM buslog.messages ORDER BY id").fetchall()
    assert rows == [(first.message_id, 0), (again[0].message_id, 1), (again[2].message_id, 3)]
    assert count(connection, "deliveries") == 3


async def test_a_dedupe_key_is_free_again_after_its_window(scene: Scene, connection: db.Connection) -> None:
    (first,) = await scene.store.emit_many([once("a", window=0.05)])
    await asyncio.sleep(0.1)
    (second,) = await scene.store.emit_many([once("a")])
    assert (second.duplicate, second.message_id == first.message_id) == (False, False)
    connection.execute("UPDATE buslog.dedupe SET until = clock_timestamp()")
    await scene.store.upkeep()
    assert count(connection, "dedupe") == 0


async def test_many_emits_at_once_with_one_dedupe_key_store_one_message(
    scene: Scene, connection: db.Connection
) -> None:
    keys = ["a", "b", "c"]
    batches = [[once(key) for key in (keys if i % 2 else keys[::-1])] for i in range(20)]
    results = await asyncio.gather(*(scene.store.emit_many(batch) for batch in batches))
    assert count(connection) == 3
    assert sum(not stored.duplicate for result in results for stored in result) == 3
    assert len({stored.message_id for result in results for stored in result}) == 3


def test_an_emit_by_sql_that_rolls_back_frees_its_dedupe_key(connection: db.Connection) -> None:
    emit = "SELECT buslog.emit('departed', '{}', dedupe_key => 'a')"
    with connection.transaction(force_rollback=True):
        connection.execute(emit)
    first = connection.execute(emit).fetchone()
    assert connection.execute(emit).fetchone() == first
    assert count(connection) == 1


async def test_an_id_says_the_time_of_its_message(scene: Scene, connection: db.Connection) -> None:
    await scene.store.emit_many([once(None), once("a"), once("b")])
    connection.execute("SELECT buslog.emit('departed', '{}')")
    wrong = connection.execute(
        "SELECT count(*) FROM buslog.messages WHERE id < buslog.id_floor(emitted_at)"
        " OR id >= buslog.id_floor(emitted_at + interval '1 microsecond')"
    ).fetchone()
    assert wrong == (0,)
