"""What Prometheus is told of a bus that was filled by hand."""

from __future__ import annotations

import uuid
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from buslog.metrics import exposition
from tests.conftest import BusByHand


def told(bus: BusByHand) -> dict[str, dict[tuple[str, ...], float]]:
    """By metric: value by labels, as a reader of the text finds them."""
    text = exposition(bus.dsn).decode()
    return {
        family.name: {
            tuple(sample.labels[name] for name in sorted(sample.labels, reverse=True)): sample.value
            for sample in family.samples
        }
        for family in text_string_to_metric_families(text)
    }


def test_backlog_failures_workers_and_pauses_are_told_by_subscription(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.subscribe("ship", "ordered")
    by_hand.emit("ordered")
    by_hand.work(mail="failed", ship="retrying")
    by_hand.emit("ordered")
    by_hand.run("UPDATE buslog.subscriptions SET paused_at = now() WHERE subscription = 'ship'")
    by_hand.run("UPDATE buslog.deliveries SET message_id = buslog.id_floor(now() - interval '1 hour') "
                "WHERE state = 'pending' AND subscription_id = (SELECT id FROM buslog.subscriptions "
                "WHERE subscription = 'mail')")  # fmt: skip
    found = told(by_hand)
    assert found["buslog_up"] == {(): 1}
    assert found["buslog_open_deliveries"] == {("mail", "pending"): 1, ("ship", "pending"): 1, ("ship", "retrying"): 1}
    assert found["buslog_failed_deliveries"] == {("mail",): 1, ("ship",): 0}
    assert found["buslog_subscription_paused"] == {("mail",): 0, ("ship",): 1}
    assert found["buslog_subscription_workers"] == {("mail",): 1, ("ship",): 1}
    assert found["buslog_live_workers"] == {(): 1}
    oldest = found["buslog_oldest_pending_seconds"]
    assert 3600 <= oldest["mail",] < 3700
    assert 0 <= oldest["ship",] < 100


def test_a_worker_whose_lease_lapsed_is_not_counted(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.start_worker()
    by_hand.run("UPDATE buslog.workers SET lease_until = now() - interval '1 second'")
    found = told(by_hand)
    assert found["buslog_live_workers"] == {(): 0}
    assert found["buslog_subscription_workers"] == {("mail",): 0}


def test_a_subscription_that_is_off_the_bus_is_told_of_while_something_waits(by_hand: BusByHand) -> None:
    for name in ("gone", "gone with a failure", "gone with a backlog"):
        by_hand.subscribe(name, name)
    by_hand.emit("gone with a failure")
    by_hand.work(**{"gone with a failure": "failed"})
    by_hand.emit("gone with a backlog")
    by_hand.run("UPDATE buslog.subscriptions SET active = false")
    assert set(told(by_hand)["buslog_failed_deliveries"]) == {("gone with a backlog",), ("gone with a failure",)}


def test_an_open_circuit_is_told(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "ordered")
    by_hand.run("UPDATE buslog.subscriptions SET outage_after = 5, outage_probe = 30")
    by_hand.run("INSERT INTO buslog.flow (subscription_id) SELECT id FROM buslog.subscriptions")
    assert told(by_hand)["buslog_circuit_open"] == {("mail",): 0}
    by_hand.run("UPDATE buslog.flow SET opened_at = now()")
    assert told(by_hand)["buslog_circuit_open"] == {("mail",): 1}


def test_labels_are_escaped(by_hand: BusByHand) -> None:
    name = 'a "b" \\ c\nd'
    by_hand.subscribe(name, "ordered")
    assert (name,) in told(by_hand)["buslog_failed_deliveries"]


def test_a_database_without_our_schema_or_none_at_all_is_told_as_down(empty_dsn: str) -> None:
    for dsn in (empty_dsn, f"postgresql://ann:{uuid.uuid4()}@127.0.0.1:1/orders"):
        assert told(BusByHand(dsn)) == {"buslog_up": {(): 0}}


def test_a_scrape_that_takes_too_long_is_told_as_down(by_hand: BusByHand, monkeypatch: Any) -> None:
    from buslog import db

    with db.connect(by_hand.dsn) as connection, connection.transaction():
        connection.execute("LOCK TABLE buslog.deliveries IN ACCESS EXCLUSIVE MODE")
        monkeypatch.setattr(db, "LOOK_MS", 100)
        assert told(by_hand) == {"buslog_up": {(): 0}}
    assert told(by_hand)["buslog_up"] == {(): 1}
