"""Why has this not run? One test for each state that an open delivery can be in, on real data."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from buslog import Rate, RetryPolicy, db
from buslog.desk import Actor
from buslog.errors import RoleTooLow
from buslog.insights import Cause, Insights, Reason
from buslog.insights.why import Holder
from buslog.message import DeliveryRef, State
from buslog.operations import Operations
from buslog.store import Said

from .conftest import Scene
from .test_outage import open_circuit


def why(insights: Insights, message: UUID, subscription: str = "mail") -> list[Cause]:
    return insights.why([message])[DeliveryRef(message, subscription)]


def reasons(insights: Insights, message: UUID, subscription: str = "mail") -> list[Reason]:
    return [cause.reason for cause in why(insights, message, subscription)]


async def test_one_that_is_due_is_next_or_knows_how_many_are_before_it(scene: Scene, insights: Insights) -> None:
    await scene.subscribe("mail")
    first, _, third = [await scene.emit() for _ in range(3)]
    assert reasons(insights, first) == [Reason.NEXT]
    (cause,) = why(insights, third)
    assert (cause.reason, cause.number) == (Reason.QUEUE, 2)


async def test_one_that_runs_names_its_worker_and_one_whose_worker_is_gone_says_so(
    scene: Scene, insights: Insights, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    message = await scene.emit()
    await scene.claim()
    (cause,) = why(insights, message)
    assert (cause.reason, cause.worker) == (Reason.RUNNING, "host:1")
    assert cause.at is not None
    connection.execute("UPDATE buslog.workers SET lease_until = clock_timestamp()")
    assert reasons(insights, message) == [Reason.LOST]


async def test_without_a_live_worker_that_is_the_first_thing_said(
    scene: Scene, insights: Insights, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    message = await scene.emit()
    connection.execute("UPDATE buslog.workers SET retired_at = clock_timestamp()")
    assert reasons(insights, message) == [Reason.NO_WORKER]
    connection.execute("UPDATE buslog.subscriptions SET active = false")
    assert reasons(insights, message)[0] is Reason.OFF_THE_BUS


async def test_a_paused_one_says_who_paused_it_and_why(
    scene: Scene, insights: Insights, operations: Operations
) -> None:
    await scene.subscribe("mail")
    message = await scene.emit()
    operations.pause("mail", reason="an older pause")
    operations.resume("mail")
    operations.pause("mail", reason="the mail server is moved")
    with pytest.raises(RoleTooLow):
        Operations(operations._dsn, Actor("vera@example.com", "dashboard")).pause("mail", reason="let me")
    (paused,) = why(insights, message)
    assert (paused.reason, paused.actor, paused.note) == (
        Reason.PAUSED, "local:tester", "the mail server is moved",
    )  # fmt: skip
    operations.resume("mail")
    assert reasons(insights, message) == [Reason.NEXT]


async def test_one_for_later_says_when_and_one_that_is_overdue_since_when(
    scene: Scene, insights: Insights, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    message = await scene.emit(delay=3600)
    (cause,) = why(insights, message)
    assert cause.reason is Reason.SCHEDULED
    assert cause.until is not None
    assert timedelta(minutes=59) < cause.until - datetime.now(UTC) <= timedelta(hours=1)
    connection.execute("UPDATE buslog.deliveries SET due_at = clock_timestamp() - interval '1 minute'")
    (cause,) = why(insights, message)
    assert (cause.reason, cause.until) == (Reason.OVERDUE, None)
    assert cause.at is not None


async def test_one_that_is_retried_says_when_after_what_and_how_often_it_was_tried(
    scene: Scene, insights: Insights
) -> None:
    await scene.subscribe("mail")
    message = await scene.emit()
    (claimed,) = await scene.claim()
    await scene.settle(claimed, State.RETRYING, delay=600)
    (cause,) = why(insights, message)
    assert (cause.reason, cause.number, cause.limit, cause.error_type) == (Reason.RETRYING, 1, 3, "ValueError")
    assert cause.until is not None
    assert cause.until > datetime.now(UTC)


async def test_one_at_the_limit_of_its_concurrency_says_how_many_run(scene: Scene, insights: Insights) -> None:
    await scene.subscribe("mail", concurrency=2)
    messages = [await scene.emit() for _ in range(4)]
    await scene.claim()
    limit, queue = why(insights, messages[3])
    assert (limit.reason, limit.number, limit.limit) == (Reason.CONCURRENCY, 2, 2)
    assert (queue.reason, queue.number) == (Reason.QUEUE, 1)


async def test_one_at_the_limit_of_its_rate_says_when_the_next_start_is(scene: Scene, insights: Insights) -> None:
    await scene.subscribe("mail", rate=Rate(2, 600))
    messages = [await scene.emit() for _ in range(3)]
    await scene.claim()
    (rate,) = why(insights, messages[2])
    assert (rate.reason, rate.limit, rate.seconds) == (Reason.RATE, 2, 600)
    assert rate.until is not None
    assert timedelta(minutes=4) < rate.until - datetime.now(UTC) <= timedelta(minutes=5)


async def test_one_in_an_outage_says_since_when_and_when_the_next_probe_is(
    scene: Scene, insights: Insights, connection: db.Connection
) -> None:
    await open_circuit(scene)
    row = connection.execute(
        "SELECT message_id FROM buslog.deliveries WHERE state = 'pending' ORDER BY ready_seq LIMIT 1"
    ).fetchone()
    assert row is not None
    cause, *_ = why(insights, row[0])
    assert cause.reason is Reason.OUTAGE
    assert cause.at is not None
    assert cause.until is not None
    assert timedelta(seconds=1) < cause.until - cause.at <= timedelta(seconds=31)


async def test_one_whose_workers_were_lost_says_that_it_runs_alone(
    scene: Scene, insights: Insights, connection: db.Connection
) -> None:
    await scene.subscribe("mail", retry=RetryPolicy(max_attempts=5, first_delay=0))
    message = await scene.emit()
    for _ in range(2):
        await scene.claim()
        await scene.lose(connection)
        await asyncio.sleep(0.05)
        await scene.store.promote_due(10)
    assert Reason.ALONE in reasons(insights, message)


async def test_a_link_of_a_chain_names_the_subscriber_it_is_behind(scene: Scene, insights: Insights) -> None:
    await scene.subscribe("first", mode="serial", order=1)
    await scene.subscribe("mail", mode="serial", order=2)
    message = await scene.emit()
    (cause,) = why(insights, message)
    assert cause == Cause(Reason.CHAIN, holder=Holder(message, "departed", "first", State.PENDING))
    (claimed,) = await scene.claim()
    await scene.settle(claimed, State.FAILED)
    (cause,) = why(insights, message)
    assert cause.holder == Holder(message, "departed", "first", State.FAILED)


async def test_one_behind_its_key_names_the_message_and_how_many_are_before_it(
    scene: Scene, insights: Insights
) -> None:
    await scene.subscribe("mail", ordered_by_key=True)
    first, second, third = [await scene.emit(key="S-42") for _ in range(3)]
    assert reasons(insights, third) == [Reason.ARRIVING]
    (claimed,) = await scene.claim()
    (cause,) = why(insights, third)
    assert (cause.reason, cause.key, cause.number) == (Reason.KEY, "S-42", 1)
    assert cause.holder == Holder(first, "departed", "mail", State.RUNNING)
    await scene.settle(claimed, State.FAILED)
    (cause,) = why(insights, second)
    assert cause.holder == Holder(first, "departed", "mail", State.FAILED)


async def test_nothing_that_has_ended_is_asked_why(scene: Scene, insights: Insights) -> None:
    await scene.subscribe("mail")
    message = await scene.emit()
    await scene.run_all()
    assert insights.why([message]) == {}


async def test_the_look_at_a_long_queue_stops_counting(scene: Scene, insights: Insights) -> None:
    await scene.subscribe("mail")
    await scene.store.emit_many([Said("departed", "{}")] * 1200)
    (cause,) = why(insights, await scene.emit())
    assert (cause.reason, cause.number) == (Reason.QUEUE, 1000)
