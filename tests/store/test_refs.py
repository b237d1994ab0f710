"""Refs: more values to find a message by, found by a fold in what was said."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from buslog import Bus, db, folding
from buslog.config import Settings
from buslog.desk import Actor
from buslog.errors import Misconfigured, OperationRefused
from buslog.refs import Backfilled, Refs

if TYPE_CHECKING:
    from tests.conftest import BusByHand

FIELDS = ["containers.*.number", "booking.reference", "billOfLading"]
PAYLOAD = {
    "shipmentId": "S-42",
    "booking": {"reference": " BK-1\n"},
    "containers": [{"number": "MSKU1234567"}, {"number": "TGHU7654321"}, {"number": "MSKU1234567"}, {}],
    "billOfLading": 4711,
}


def keep(connection: db.Connection, fields: list[str] = FIELDS) -> None:
    connection.execute("SELECT buslog.set_ref_fields(%s)", (fields,))


def fold(connection: db.Connection, places: int = 1000) -> bool:
    row = connection.execute("SELECT buslog.fold_refs(%s)", (places,)).fetchone()
    assert row is not None
    return bool(row[0])


def refs(connection: db.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT ref FROM buslog.message_refs ORDER BY message_id, ref")]


def of(connection: db.Connection, payload: object, fields: list[str]) -> list[str]:
    rows = connection.execute(
        "SELECT buslog.refs_of(%s::text::jsonb, (SELECT array_agg(buslog.ref_path(f)) FROM unnest(%s::text[]) AS f))",
        (json.dumps(payload), fields),
    )
    return [row[0] for row in rows]


def test_a_fold_finds_what_the_fields_name_trimmed_and_once(connection: db.Connection, by_hand: BusByHand) -> None:
    keep(connection)
    by_hand.emit("shipmentDeparted", json.dumps(PAYLOAD))
    assert refs(connection) == []  # the emit pays nothing
    assert not fold(connection)
    assert refs(connection) == ["4711", "BK-1", "MSKU1234567", "TGHU7654321"]


def test_what_no_person_would_look_for_is_no_ref(connection: db.Connection) -> None:
    assert of(connection, {"a": ["", "  ", "x" * 201, "a\tb", None, True, {"b": 1}, 7, "ok"]}, ["a.*"]) == ["7", "ok"]
    assert of(connection, {"a": [f"C-{n}" for n in range(30)]}, ["a.*"]) == [f"C-{n}" for n in range(20)]
    assert of(connection, {"a": {"b": 1}}, ["a", "a.b.c", "x.*.y"]) == []
    assert of(connection, {'we"ird\\': "x", "*": "y"}, ['we"ird\\']) == ["x"]
    assert of(connection, {"a": [[{"b": "1"}], {"b": "2"}]}, ["a.*.b"]) == ["1", "2"]


def test_nothing_is_kept_until_fields_are_named_and_then_what_is_said_from_then_on(
    connection: db.Connection, by_hand: BusByHand
) -> None:
    by_hand.emit("before", '{"billOfLading": "old"}')
    fold(connection)
    keep(connection)
    by_hand.emit("after", '{"billOfLading": "new"}')
    fold(connection)
    assert refs(connection) == ["new"]


def test_what_commits_late_is_found_and_nothing_twice(connection: db.Connection, dsn: str, by_hand: BusByHand) -> None:
    keep(connection)
    with db.connect(dsn) as slow:
        slow.execute("BEGIN")
        slow.execute("""SELECT buslog.emit('slow', '{"billOfLading": "late"}')""")
        by_hand.emit("quick", '{"billOfLading": "early"}')
        fold(connection)
        assert refs(connection) == ["early"]
        connection.execute("DELETE FROM buslog.message_refs")  # what is looked at again would come back
        slow.execute("COMMIT")
    fold(connection)
    assert refs(connection) == ["late"]
    assert not fold(connection)


def test_much_is_folded_in_steps_and_a_bus_at_rest_writes_nothing(
    connection: db.Connection, by_hand: BusByHand
) -> None:
    keep(connection)
    for number in range(5):
        by_hand.emit("departed", json.dumps({"billOfLading": f"B-{number}"}))
    assert fold(connection, 2)
    assert len(refs(connection)) == 3
    while fold(connection, 2):
        pass
    assert len(refs(connection)) == 5
    before = connection.execute("SELECT xmin FROM buslog.refs_state").fetchone()
    fold(connection)
    assert connection.execute("SELECT xmin FROM buslog.refs_state").fetchone() == before


def test_messages_without_refs_are_looked_at_once(connection: db.Connection, by_hand: BusByHand) -> None:
    keep(connection)
    by_hand.emit("departed")
    before = connection.execute("SELECT seen FROM buslog.refs_state").fetchone()
    fold(connection)
    assert connection.execute("SELECT seen FROM buslog.refs_state").fetchone() != before


def test_imported_history_has_its_refs_where_its_partition_was_made_for_it(
    connection: db.Connection, by_hand: BusByHand
) -> None:
    keep(connection)
    message = by_hand.add_history("shipmentDeparted", "2012-02-29T10:00:00Z")
    by_hand.run("""UPDATE buslog.messages SET payload = '{"billOfLading": "B-2012"}' WHERE id = %s""", message)
    fold(connection)
    assert refs(connection) == ["B-2012"]
    assert connection.execute("SELECT count(*) FROM buslog.message_refs_y2012").fetchone() == (1,)


def test_a_log_restored_to_another_server_goes_on_from_now(connection: db.Connection, by_hand: BusByHand) -> None:
    keep(connection)
    connection.execute("UPDATE buslog.refs_state SET seen = '999999999:999999999:', server = 1")
    fold(connection)
    by_hand.emit("departed", '{"billOfLading": "after"}')
    fold(connection)
    assert refs(connection) == ["after"]


def test_the_backfill_finds_what_was_said_before_and_can_be_repeated(
    connection: db.Connection, by_hand: BusByHand, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buslog.refs.BATCH", 2)
    for number in range(5):
        by_hand.emit("departed", json.dumps({"billOfLading": f"B-{number}"}))
    desk = Refs(dsn, Actor("local:anna", "cli"))
    with pytest.raises(OperationRefused, match="BUSLOG_REF_FIELDS"):
        desk.backfill()
    keep(connection)
    heard: list[Backfilled] = []
    assert desk.backfill(heard.append) == Backfilled(5, 5)
    assert heard == [Backfilled(2, 2), Backfilled(4, 4)]
    assert refs(connection) == [f"B-{number}" for number in range(5)]
    assert desk.backfill() == Backfilled(5, 0)
    audited = connection.execute("SELECT actor, verb, outcome ->> 'refs' FROM buslog.operations ORDER BY id").fetchall()
    assert audited == [("local:anna", "refs backfill", "5"), ("local:anna", "refs backfill", "0")]


async def test_a_worker_finds_refs_within_about_a_second(test_settings: Settings, connection: db.Connection) -> None:
    assert folding.REFS_EVERY <= 1
    bus = Bus(settings=test_settings.model_copy(update={"ref_fields": ("containers.*.number",)}))
    async with bus:
        await bus.emit("shipmentDeparted", PAYLOAD)
        async with asyncio.timeout(10):
            while not refs(connection):
                await asyncio.sleep(0.05)
    assert refs(connection) == ["MSKU1234567", "TGHU7654321"]


@pytest.mark.parametrize("value", ["a..b", "a b", ".a", "a.", ",".join(f"f{n}" for n in range(21))])
def test_ref_fields_that_are_no_paths_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from buslog.config import settings

    monkeypatch.setenv("BUSLOG_REF_FIELDS", value)
    settings.cache_clear()
    with pytest.raises(Misconfigured, match="BUSLOG_REF_FIELDS"):
        settings()
    monkeypatch.setenv("BUSLOG_REF_FIELDS", " containers.*.number, booking ,")
    assert settings().ref_fields == ("containers.*.number", "booking")
    settings.cache_clear()
