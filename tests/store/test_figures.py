"""What the Overview and the Subscribers page read, and do: exact, of one moment, each number with its list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.errors import InvalidFilter, NotFound, OperationRefused
from buslog.filter import Filter, Range
from buslog.flow import Rate
from buslog.insights import Insights, Trouble, failure_rate
from buslog.insights.overview import open_of
from buslog.message import DeliveryRef, Mode, State
from buslog.operations import Operations
from buslog.registrations import Registrations
from buslog.visits import look

if TYPE_CHECKING:
    from tests.conftest import BusByHand
    from tests.store.conftest import Scene

ANNA = Actor("local:anna", "dashboard")
DAY = Filter(range=Range.DAY)


# ── the overview ────────────────────────────────────────────────────────────────


def make_a_day(bus: BusByHand) -> None:
    """Of mail four failed, one succeeded, one was cancelled; tracking has two that wait; one command runs."""
    bus.subscribe("mail", "departed")
    bus.subscribe("tracking", "arrived")
    bus.subscribe("resync", "resyncTracking", kind="command")
    for number in range(6):
        bus.emit("departed", key=f"S-{number}")
    bus.work(mail="failed")
    (first, *_), *_ = bus.run("SELECT message_id FROM buslog.ended_deliveries ORDER BY message_id")
    Operations(bus.dsn, ANNA).cancel([DeliveryRef(first, "mail")], reason="nobody will mend it")
    (second,) = bus.run("SELECT message_id FROM buslog.ended_deliveries WHERE latest AND state = 'failed' LIMIT 1")[0]
    Operations(bus.dsn, ANNA).replay([DeliveryRef(second, "mail")])
    bus.work()
    bus.run("SELECT buslog.emit('arrived', '{}') FROM generate_series(1, 2)")
    bus.run("SELECT buslog.emit('resyncTracking', '{}')")
    bus.run("SELECT buslog.claim(%s, ARRAY[3], NULL, 1)", bus.start_worker())


def test_each_number_of_the_overview_is_the_count_of_its_list(insights: Insights, by_hand: BusByHand) -> None:
    make_a_day(by_hand)
    for asked in (DAY, Filter(names=("departed",), range=Range.DAY), Filter(subscription="mail", range=Range.HOUR)):
        seen = insights.overview(asked)
        failed = Filter(names=asked.names, subscription=asked.subscription, range=asked.range, states=(State.FAILED,))
        assert seen.failed == seen.series.failures == insights.count(failed).value == 4
        assert seen.series.messages == insights.tally(asked).messages
        assert (seen.succeeded, seen.failure_rate) == (1, 0.8), "the cancelled one has no part in the rate"
        assert seen.backlog.total == insights.count(open_of(asked)).value
    everything = insights.overview(DAY)
    assert everything.backlog.by_state == {State.PENDING: 2, State.RUNNING: 1}
    assert everything.commands == {"resyncTracking": 1}
    assert insights.count(Filter(names=("resyncTracking",), states=(State.RUNNING,))).value == 1
    assert insights.overview(Filter(subscription="mail", range=Range.DAY)).commands == {}
    assert everything.p50 is not None
    assert insights.overview(Filter(subscription="tracking", range=Range.DAY)).p50 is None


def test_the_oldest_that_waits_is_named_with_its_message(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "departed")
    by_hand.subscribe("tracking", "arrived")
    assert insights.backlog().oldest_message is None
    first, second = by_hand.emit("departed"), by_hand.emit("arrived")
    assert insights.backlog().oldest_message == first
    assert insights.backlog(Filter(names=("arrived",))).oldest_message == second
    assert insights.backlog(Filter(subscription="tracking", range=Range.HOUR)).oldest_message == second


def test_what_raised_is_listed_though_it_has_succeeded_since(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "departed")
    message = by_hand.emit("departed")
    by_hand.work(mail="failed")
    by_hand.emit("departed")
    by_hand.run("SELECT buslog.replay(ARRAY[%s::uuid], ARRAY[1])", message)
    by_hand.work()
    raised = Filter(raised=True)
    assert insights.series(DAY).errors == 1
    assert [row.message_id for row in insights.page(raised).rows] == [message]
    assert insights.count(raised).value == insights.series(raised).messages == 1
    assert insights.series(raised).errors == 1
    assert insights.by_state(raised) == {State.SUCCEEDED: 1}


def test_what_failed_since_a_moment_is_found_by_when_it_ended(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "departed")
    long_ago = by_hand.add_history("departed", "2025-05-05T10:00:00Z", state="failed")
    since = datetime.now(UTC) - timedelta(minutes=1)
    just_now = by_hand.add_history("departed", "2025-05-05T11:00:00Z", state="failed")
    by_hand.run("UPDATE buslog.ended_deliveries SET finished_at = now() WHERE message_id = %s", just_now)
    new = Filter(states=(State.FAILED,), ended_since=since)
    assert [row.message_id for row in insights.page(new).rows] == [just_now]
    assert (insights.count(new).value, insights.series(new).failures) == (1, 1)
    assert sum(group.count.value for group in insights.failure_groups(new).groups) == 1
    assert insights.count(Filter(states=(State.FAILED,))).value == 2
    assert Filter.from_params(new.to_params()) == new
    assert long_ago != just_now


def test_a_nonsense_answer_to_yes_is_refused() -> None:
    assert Filter.from_params({"raised": "yes"}).raised
    with pytest.raises(InvalidFilter, match="raised"):
        Filter.from_params({"raised": "maybe"})


def test_the_overview_answers_only_what_it_can_tell(insights: Insights) -> None:
    for asked in (Filter(key="S-1"), Filter(states=(State.FAILED,)), Filter(error_type="E"), Filter(raised=True)):
        with pytest.raises(InvalidFilter, match="asks for names"):
            insights.overview(asked)


def test_a_chart_of_chosen_states_reads_the_series_and_says_that_errors_are_left_out(
    insights: Insights, by_hand: BusByHand
) -> None:
    make_a_day(by_hand)
    for states in ((State.FAILED,), (State.SUCCEEDED, State.CANCELLED), (State.PENDING, State.RUNNING)):
        asked = Filter(range=Range.DAY, states=states)
        series = insights.series(asked)
        assert series.counts_rows
        assert not series.knows_errors
        assert series.messages == insights.count(asked).value
        assert series.failures == (4 if State.FAILED in states else 0)
    narrow = Filter(states=(State.FAILED,), since=datetime.now(UTC) - timedelta(seconds=50))
    assert insights.series(narrow).knows_errors, "bars of less than a minute are counted from the log"
    assert insights.series(narrow).errors == 4, "the one that was cancelled, and the one replayed, are not among them"


def test_the_failure_rate_is_of_what_ran_to_its_end() -> None:
    assert failure_rate(3, 1) == 0.25
    assert failure_rate(0, 0) is None


async def test_a_release_is_noted_when_a_worker_first_brings_it(insights: Insights, scene: Scene) -> None:
    for version in ("", "2026.1", "2026.1", "2026.2"):
        await scene.store.enter("host:1", version, [], 60)
    assert [release.version for release in insights.overview(DAY).releases] == ["2026.2", "2026.1"]
    before = Filter(until=datetime.now(UTC) - timedelta(minutes=1))
    assert insights.overview(before).releases == []


def test_a_visit_ends_after_half_an_hour_without_a_look(dsn: str, connection: db.Connection) -> None:
    assert look(dsn, "anna") is None
    assert look(dsn, "anna") is None, "the same visit"
    connection.execute("UPDATE buslog.visits SET seen_at = seen_at - interval '40 minutes'")
    left = look(dsn, "anna")
    assert left is not None
    assert timedelta(minutes=39) < datetime.now(UTC) - left < timedelta(minutes=41)
    assert look(dsn, "anna") == left, "it stays while she looks on"
    assert look(dsn, "ben") is None


# ── subscribers ─────────────────────────────────────────────────────────────────


async def test_a_subscriber_is_told_with_what_its_author_chose(insights: Insights, scene: Scene) -> None:
    await scene.subscribe(
        "mail", ["departed", "arrived"], ordered_by_key=True, on_failure="skip", priority=5,
        concurrency=3, rate=Rate(10, 60), timeout=None, unsafe_to_replay="it sends an e-mail",
    )  # fmt: skip
    (mail,) = insights.subscribers(DAY)
    policy = mail.policy
    assert mail.names == ["arrived", "departed"]
    assert (policy.ordered_by_key, policy.skips_failed, policy.priority) == (True, True, 5)
    assert (policy.concurrency, policy.rate, policy.unsafe_to_replay) == (3, Rate(10, 60), "it sends an e-mail")
    assert (policy.timeout, policy.knows_timeout) == (None, True)
    await scene.subscribe("mail", "departed", mode="serial", order=2, timeout=7.5)
    (mail,) = insights.subscribers(DAY)
    assert (mail.mode, mail.policy.order, mail.policy.timeout) == (Mode.SERIAL, 2, 7.5)


def test_who_paused_it_and_why(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "departed")
    by_hand.start_worker()
    operations = Operations(by_hand.dsn, ANNA)
    operations.pause("mail", reason="first")
    operations.resume("mail")
    operations.pause("mail", reason="mail server is being moved")
    (mail,) = insights.subscribers(DAY)
    assert (mail.paused_by, mail.why_paused) == ("local:anna", "mail server is being moved")
    assert mail.trouble is Trouble.PAUSED
    operations.resume("mail")
    (mail,) = insights.subscribers(DAY)
    assert (mail.paused_by, mail.paused_at, mail.trouble) == (None, None, Trouble.NONE)


def test_what_is_wrong_with_a_subscription(insights: Insights, by_hand: BusByHand) -> None:
    def trouble() -> Trouble:
        return insights.subscribers(DAY)[0].trouble

    by_hand.subscribe("mail", "departed")
    assert trouble() is Trouble.UNHOSTED
    by_hand.emit("departed")
    assert trouble() is Trouble.WAITING_FOR_NOBODY
    by_hand.work(mail="failed")
    assert trouble() is Trouble.FAILING
    by_hand.run("INSERT INTO buslog.flow (subscription_id, opened_at) VALUES (1, now())")
    assert trouble() is Trouble.OUTAGE
    by_hand.run("DELETE FROM buslog.flow")
    by_hand.run("UPDATE buslog.workers SET lease_until = now()")
    assert trouble() is Trouble.UNHOSTED
    by_hand.run("UPDATE buslog.subscriptions SET mode = 'sync'")
    assert trouble() is Trouble.WAITING_FOR_NOBODY, "emits of its names wait for it"


def test_what_its_code_left_behind_is_taken_off_the_bus(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "departed", "arrived")
    by_hand.emit("departed")
    registrations = Registrations(by_hand.dsn, ANNA)
    assert registrations.unregister("mail", reason="moved to billing")
    assert not registrations.unregister("mail"), "it is off already"
    unrouted = by_hand.emit("departed")
    assert [row.state for row in insights.page(Filter()).rows if row.message_id == unrouted] == [State.UNROUTED]
    (mail,) = insights.subscribers(DAY)
    assert (mail.is_active, mail.names, mail.backlog) == (False, [], 1)
    audit = by_hand.run("SELECT actor, verb, subscription, reason, outcome FROM buslog.operations")
    assert audit == [
        ("local:anna", "unregister", "mail", "moved to billing", {"names": ["arrived", "departed"]}),
    ]  # fmt: skip


def test_what_a_live_worker_hosts_is_not_taken_off_the_bus(by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "departed")
    by_hand.start_worker()
    with pytest.raises(OperationRefused, match="hosted by 1"):
        Registrations(by_hand.dsn, ANNA).unregister("mail")
    with pytest.raises(NotFound, match="mail"):
        Registrations(by_hand.dsn, ANNA).unregister("mial")
    assert by_hand.run("SELECT active FROM buslog.subscriptions") == [(True,)]
    assert by_hand.run("SELECT count(*) FROM buslog.operations") == [(0,)]
