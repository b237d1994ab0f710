"""Outage mode: while what a subscriber calls is down, its deliveries wait and are not charged."""

from __future__ import annotations

import asyncio

from buslog import Outage, RetryPolicy, db
from buslog.execution import Claimed, Outcome
from buslog.message import State
from buslog.operations import Operations
from buslog.store import Said, Settlement

from .conftest import Scene, states

OUTAGE = Outage(errors=(ConnectionError,), after=3, probe_every=30)


async def open_circuit(scene: Scene, messages: int = 10, outage: Outage = OUTAGE) -> list[Claimed]:
    """Messages, of which as many as it takes have raised: the last is pending, those before it wait for their retry.
    Returns what else was claimed before.
    """
    await scene.subscribe("mail", outage=outage, retry=RetryPolicy(max_attempts=3, first_delay=0))
    await scene.store.emit_many([Said("departed", "{}")] * messages)
    claims = await scene.claim(outage.after + 1)
    for claimed in claims[: outage.after]:
        await raise_outage(scene, claimed)
    return claims[outage.after :]


async def raise_outage(scene: Scene, *claims: Claimed, state: State = State.RETRYING) -> None:
    delay = 3600.0 if state is State.RETRYING else None
    down = Outcome(state, delay=delay, error_type="ConnectionError", error="down", outage=True)
    settled = [Settlement(c.message_id, c.subscription_id, c.fence, down) for c in claims]
    assert len(await scene.store.settle(settled, "host:1", "")) == len(claims)


def circuit(connection: db.Connection) -> tuple[bool, int]:
    """Whether it is open, and how many errors in a row there were."""
    row = connection.execute("SELECT opened_at IS NOT NULL, errors_in_row FROM buslog.flow").fetchone()
    assert row is not None
    return row[0], row[1]


def let_probe(connection: db.Connection) -> None:
    connection.execute("UPDATE buslog.flow SET probe_at = clock_timestamp()")


def counts(connection: db.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT state, count(*) FROM buslog.log GROUP BY 1").fetchall())


async def test_it_opens_after_so_many_errors_in_a_row_over_two_workers(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail", outage=OUTAGE)
    other = await scene.enter()
    await scene.store.emit_many([Said("departed", "{}")] * 10)
    await raise_outage(scene, *(await scene.claim(1)))
    await raise_outage(scene, *(await scene.claim(1, other)))
    assert circuit(connection) == (False, 2)
    await raise_outage(scene, *(await scene.claim(1)))
    assert circuit(connection) == (True, 3)
    assert await scene.claim() == await scene.claim(10, other) == []


async def test_a_success_in_between_begins_the_count_anew(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail", outage=OUTAGE)
    await scene.store.emit_many([Said("departed", "{}")] * 10)
    claims = await scene.claim(5)
    await raise_outage(scene, *claims[:2])
    await scene.settle(claims[2])
    assert circuit(connection) == (False, 0)
    await raise_outage(scene, *claims[3:])
    assert circuit(connection) == (False, 2)


async def test_in_one_batch_only_the_errors_after_the_last_success_count(
    scene: Scene, connection: db.Connection
) -> None:
    await scene.subscribe("mail", outage=OUTAGE)
    await scene.store.emit_many([Said("departed", "{}")] * 10)
    down = Outcome(State.RETRYING, delay=0, error_type="ConnectionError", error="down", outage=True)
    outcomes = [down, down, Outcome(State.SUCCEEDED), down, down]
    settled = [
        Settlement(c.message_id, c.subscription_id, c.fence, outcome)
        for c, outcome in zip(await scene.claim(5), outcomes, strict=True)
    ]
    await scene.store.settle(settled, "host:1", "")
    assert circuit(connection) == (False, 2)


async def test_other_errors_do_not_open_it_and_are_charged(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail", outage=OUTAGE)
    await scene.store.emit_many([Said("departed", "{}")] * 5)
    for claimed in await scene.claim(5):
        await scene.settle(claimed, State.RETRYING, delay=0)
    assert circuit(connection) == (False, 0)
    await scene.store.promote_due(10)
    assert {c.charged for c in await scene.claim()} == {2}


async def test_while_it_is_open_one_probe_runs_at_a_time_and_is_not_charged(
    scene: Scene, connection: db.Connection
) -> None:
    late = await open_circuit(scene)
    other = await scene.enter()
    await raise_outage(scene, *late)
    for _ in range(5):
        let_probe(connection)
        takes = await asyncio.gather(scene.claim(), scene.claim(10, other))
        (probe,) = [claimed for take in takes for claimed in take]
        assert probe.charged == 1
        let_probe(connection)
        assert await scene.claim() == [], "the last one has not answered yet"
        await raise_outage(scene, probe)
        assert await scene.claim() == [], "not before its time"
    assert counts(connection) == {"retrying": 2, "pending": 8}


async def test_the_attempts_of_a_whole_outage_are_kept_and_none_of_them_uses_up_its_attempts(
    scene: Scene, connection: db.Connection
) -> None:
    await open_circuit(scene, messages=3)  # so that the one which opened it is every probe
    for _ in range(8):
        let_probe(connection)
        (probe,) = await scene.claim()
        # Charged, it would fail for good after the third.
        await raise_outage(scene, probe, state=State.RETRYING if probe.charged < 3 else State.FAILED)
    let_probe(connection)
    (probe,) = await scene.claim()
    assert (probe.attempt, probe.charged) == (10, 1)
    await scene.settle(probe, State.FAILED)
    numbers = connection.execute(
        "SELECT array_agg(attempt ORDER BY attempt) FROM buslog.attempts WHERE message_id = %s", [probe.message_id]
    ).fetchone()
    assert numbers == (list(range(1, 11)),)


async def test_an_outage_of_weeks_does_not_run_out_of_numbers(scene: Scene, connection: db.Connection) -> None:
    await open_circuit(scene, messages=3)
    connection.execute("UPDATE buslog.deliveries SET attempt = 40000, uncharged = 40000 WHERE state = 'pending'")
    let_probe(connection)
    (probe,) = await scene.claim()
    assert (probe.attempt, probe.charged) == (40_001, 1)
    await raise_outage(scene, probe)


async def test_a_last_attempt_that_meets_the_outage_waits_instead_of_failing(
    scene: Scene, connection: db.Connection
) -> None:
    (late,) = await open_circuit(scene)
    await raise_outage(scene, late, state=State.FAILED)
    assert counts(connection) == {"retrying": 2, "pending": 8}


async def test_another_error_of_a_probe_is_charged_and_leaves_it_open(scene: Scene, connection: db.Connection) -> None:
    (late,) = await open_circuit(scene)
    await scene.settle(late, State.RETRYING, delay=3600)
    assert circuit(connection)[0]
    assert counts(connection)["retrying"] == 3
    let_probe(connection)
    (probe,) = await scene.claim()
    await scene.settle(probe, State.RETRYING, delay=3600)
    assert circuit(connection)[0]
    assert await scene.claim() == [], "the next probe has its time"
    let_probe(connection)
    assert len(await scene.claim()) == 1


async def test_the_first_success_closes_it_and_what_waits_runs(scene: Scene, connection: db.Connection) -> None:
    (late,) = await open_circuit(scene)
    await raise_outage(scene, late)
    let_probe(connection)
    (probe,) = await scene.claim()
    await scene.settle(probe)
    assert circuit(connection) == (False, 0)
    connection.execute("UPDATE buslog.deliveries SET due_at = clock_timestamp() WHERE due_at IS NOT NULL")
    await scene.store.promote_due(10)
    assert len(await scene.run_all()) == 9
    assert counts(connection) == {"succeeded": 10}


async def test_a_probe_whose_worker_dies_or_lets_it_go_is_followed_by_another(
    scene: Scene, connection: db.Connection
) -> None:
    (late,) = await open_circuit(scene)
    await raise_outage(scene, late)
    let_probe(connection)
    (probe,) = await scene.claim()
    await scene.settle(probe, State.PENDING)
    let_probe(connection)
    assert len(await scene.claim()) == 1
    await scene.lose(connection)
    let_probe(connection)
    assert len(await scene.claim()) == 1


async def test_a_cancelled_probe_is_followed_by_another(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    (late,) = await open_circuit(scene)
    await raise_outage(scene, late)
    let_probe(connection)
    (probe,) = await scene.claim()
    operations.cancel([scene.ref(probe.message_id)])
    let_probe(connection)
    assert len(await scene.claim()) == 1


async def test_a_probe_that_is_to_run_alone_is_the_only_one_too(scene: Scene, connection: db.Connection) -> None:
    (late,) = await open_circuit(scene)
    await raise_outage(scene, late)
    connection.execute("UPDATE buslog.deliveries SET alone = true WHERE message_id = %s", [late.message_id])
    assert await scene.claim_alone() is None
    let_probe(connection)
    alone = await scene.claim_alone()
    assert alone is not None
    assert await scene.claim() == []
    await scene.settle(alone, State.PENDING)
    assert await scene.claim() == [], "the next probe has its time"


async def test_an_outage_of_one_subscription_is_none_of_the_others(scene: Scene) -> None:
    await open_circuit(scene)
    await scene.subscribe("task", outage=OUTAGE)
    for _ in range(3):
        await scene.emit()
    assert scene.names_of(await scene.claim(100)) == ["task"] * 3


async def test_without_the_policy_what_waited_runs_and_with_it_again_the_count_begins_anew(
    scene: Scene, connection: db.Connection
) -> None:
    (late,) = await open_circuit(scene)
    await raise_outage(scene, late)
    assert await scene.claim() == []
    await scene.subscribe("mail", concurrency=100)
    assert circuit(connection) == (False, 0)
    assert len(await scene.claim(100)) == 8
    await scene.subscribe("mail")
    assert connection.execute("SELECT count(*) FROM buslog.flow").fetchone() == (0,)


async def test_registering_the_same_policy_as_every_restart_does_leaves_it_open(
    scene: Scene, connection: db.Connection
) -> None:
    await open_circuit(scene)
    await scene.subscribe("mail", outage=OUTAGE)
    assert circuit(connection)[0]


async def test_a_delivery_behind_an_open_circuit_can_be_cancelled(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    await scene.subscribe("mail", outage=OUTAGE)
    message_id = await scene.emit()
    connection.execute("UPDATE buslog.flow SET opened_at = clock_timestamp(), probe_at = 'infinity', errors_in_row = 3")
    assert await scene.claim() == []
    operations.cancel([scene.ref(message_id)])
    assert states(connection) == {"mail": "cancelled"}
