"""Commands run by hand: one or many, once for each form, and followed as a batch."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.errors import InvalidMessage, RoleTooLow, UnknownCommand
from buslog.insights import Insights
from buslog.message import State
from buslog.operations import Asked, Operations

if TYPE_CHECKING:
    from tests.conftest import BusByHand

SCHEMA = json.dumps({
    "type": "object", "required": ["shipmentId"],
    "properties": {"shipmentId": {"type": "string", "minLength": 3}, "newest": {"type": "integer", "maximum": 100}},
})  # fmt: skip


@pytest.fixture
def operations(dsn: str) -> Operations:
    return Operations(dsn, Actor("local:tester", "dashboard"))


@pytest.fixture
def resync(by_hand: BusByHand) -> BusByHand:
    by_hand.subscribe("tracking.resync", "resyncTracking", kind="command", schema=SCHEMA, description="Ask again.")
    return by_hand


def asked(*keys: str) -> list[Asked]:
    return [Asked({"shipmentId": key}) for key in keys]


def test_many_runs_are_one_batch_whose_id_is_the_first_message_s(operations: Operations, resync: BusByHand) -> None:
    started = operations.run_many("resyncTracking", asked("S-1", "S-2", "S-3"), reason="the carrier is back")
    assert resync.run("SELECT key, correlation_id, actor, source FROM buslog.messages ORDER BY id") == [
        (key, started.batch, "local:tester", "dashboard") for key in ("S-1", "S-2", "S-3")
    ]
    assert resync.run("SELECT id FROM buslog.messages ORDER BY id LIMIT 1") == [(started.batch,)]
    assert resync.run("SELECT verb, message_id, reason, outcome FROM buslog.operations") == [
        ("run", started.batch, "the carrier is back", {"name": "resyncTracking", "count": 3})
    ]


def test_one_bad_row_among_many_is_named_and_nothing_is_put_on_the_bus(
    operations: Operations, resync: BusByHand
) -> None:
    for bad, told in (
        ({"shipmentId": "S"}, "row 3: payload.shipmentId"),
        ({"shipmentId": "S-3\x00"}, "row 3: payload"),
    ):
        with pytest.raises(InvalidMessage, match=told):
            operations.run_many("resyncTracking", [*asked("S-1", "S-2"), Asked(bad), *asked("S-4")])
    with pytest.raises(InvalidMessage, match="key"):
        operations.run_many("resyncTracking", [*asked("S-1"), Asked({"shipmentId": "S-2"}, "")])
    with pytest.raises(UnknownCommand):
        operations.run_many("resync", asked("S-1", "S-2"))
    assert resync.run("SELECT count(*) FROM buslog.messages") == [(0,)]
    assert resync.run("SELECT count(*) FROM buslog.operations") == [(0,)]


def test_a_batch_has_at_least_one_row_and_at_most_what_one_commit_holds(
    operations: Operations, resync: BusByHand
) -> None:
    for number in (0, 10_001):
        with pytest.raises(InvalidMessage, match="rows"):
            operations.run_many("resyncTracking", asked("S-1") * number)
    with pytest.raises(InvalidMessage, match="payloads"):
        operations.run_many("resyncTracking", [Asked({"shipmentId": "S-1", "text": "x" * 900_000})] * 9)
    assert resync.run("SELECT count(*) FROM buslog.messages") == [(0,)]


def test_ten_thousand_runs_are_one_operation(operations: Operations, resync: BusByHand, insights: Insights) -> None:
    started = operations.run_many("resyncTracking", asked(*(f"S-{number}" for number in range(10_000))))
    assert insights.batch_states("resyncTracking", started.batch) == {State.PENDING: 10_000}
    assert resync.run("SELECT count(*), min(outcome ->> 'count') FROM buslog.operations") == [(1, "10000")]


def test_a_form_that_is_sent_four_times_at_once_runs_once(operations: Operations, resync: BusByHand) -> None:
    token = uuid4().hex
    all_ready, started = threading.Barrier(4), []

    def click() -> None:
        all_ready.wait()
        started.append(operations.run_many("resyncTracking", asked("S-1", "S-2"), token=token))

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for one in clicks:
        one.start()
    for one in clicks:
        one.join()
    assert resync.run("SELECT count(*) FROM buslog.messages") == [(2,)]
    assert resync.run("SELECT count(*) FROM buslog.operations") == [(1,)]
    assert len({one.batch for one in started}) == 1
    assert sorted(one.is_duplicate for one in started) == [False, True, True, True]


def test_a_form_that_was_refused_can_be_corrected_and_sent_again(operations: Operations, resync: BusByHand) -> None:
    token = uuid4().hex
    with pytest.raises(InvalidMessage):
        operations.run_many("resyncTracking", [*asked("S-1"), Asked({})], token=token)
    assert not operations.run_many("resyncTracking", asked("S-1", "S-2"), token=token).is_duplicate
    assert resync.run("SELECT count(*) FROM buslog.messages") == [(2,)]


def test_a_batch_is_followed_by_state_without_what_its_runs_caused(
    operations: Operations, resync: BusByHand, insights: Insights
) -> None:
    batch = operations.run_many("resyncTracking", asked("S-1", "S-2")).batch
    resync.work(**{"tracking.resync": "failed"})
    resync.emit("resyncTracking", '{"shipmentId": "S-9"}', caused_by=batch)
    other = operations.run_many("resyncTracking", asked("S-3")).batch
    assert insights.batch_states("resyncTracking", batch) == {State.FAILED: 2}
    runs = insights.batch_runs("resyncTracking", batch)
    assert [(run.key, run.state, run.error_type) for run in runs] == [
        ("S-1", State.FAILED, "CarrierTimeout"), ("S-2", State.FAILED, "CarrierTimeout"),
    ]  # fmt: skip
    resync.work()
    (run,) = insights.batch_runs("resyncTracking", other)
    assert json.loads(run.result or "") == {"updated": 3}


def test_runs_for_the_same_key_lately_are_found_with_who_when_and_their_state(
    operations: Operations, resync: BusByHand, insights: Insights, connection: db.Connection
) -> None:
    resync.add_history("resyncTracking", (datetime.now(UTC) - timedelta(minutes=30)).isoformat(), key="S-1")
    operations.run_many("resyncTracking", asked("S-1", "S-2"))
    since = datetime.now(UTC) - timedelta(minutes=10)
    (found,) = insights.command_runs_for("resyncTracking", ["S-1", "S-7"], since)
    assert (found.key, found.actor, found.state) == ("S-1", "local:tester", State.PENDING)
    assert insights.command_runs_for("resyncTracking", ["S-7"], since) == []
    assert insights.command_runs_for("another", ["S-1"], since) == []


def test_a_card_tells_how_the_last_ten_runs_went(operations: Operations, resync: BusByHand, insights: Insights) -> None:
    (card,) = insights.commands()
    assert (card.last, card.role) == (None, None)
    operations.run_many("resyncTracking", asked("S-1"))
    resync.work(**{"tracking.resync": "failed"})
    operations.run_many("resyncTracking", asked("S-2"))
    resync.work()
    (card,) = insights.commands()
    assert card.last is not None
    assert (card.last.count, card.last.failed, card.last.state, card.last.by) == (
        2, 1, State.SUCCEEDED, "local:tester",
    )  # fmt: skip


def test_a_role_that_is_recorded_with_a_command_is_on_its_card(resync: BusByHand, insights: Insights) -> None:
    resync.run('UPDATE buslog.subscriptions SET policy = policy || \'{"role": "admin"}\'')
    assert insights.commands()[0].role == "admin"


def test_many_runs_need_the_role_that_the_command_demands(dsn: str, resync: BusByHand) -> None:
    resync.run('UPDATE buslog.subscriptions SET policy = policy || \'{"role": "admin"}\'')
    resync.run("INSERT INTO buslog.users (person, given) VALUES ('anna@example.com', 'operator')")
    with pytest.raises(RoleTooLow):
        Operations(dsn, Actor("anna@example.com", "dashboard")).run_many("resyncTracking", asked("S-1", "S-2"))
    assert resync.run("SELECT count(*) FROM buslog.messages") == [(0,)]
