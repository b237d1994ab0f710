"""Serial chains: the serial subscribers of one message run one after the other."""

from __future__ import annotations

import pytest

from buslog import RetryPolicy, db
from buslog.message import State
from buslog.operations import Operations
from buslog.store import Said

from .conftest import Scene, states


async def chain(scene: Scene, length: int = 3, **options: object) -> None:
    """A message and its chain of s0, s1, s2; options: of s0."""
    for place in range(length):
        await scene.subscribe(f"s{place}", mode="serial", order=place, **(options if place == 0 else {}))  # type: ignore[arg-type]


async def run(scene: Scene) -> list[str]:
    """Runs what is ready until nothing is; never two at once."""
    ran: list[str] = []
    while claims := await scene.claim():
        assert len(claims) == 1
        ran += scene.names_of(claims)
        await scene.settle(claims[0])
    return ran


async def test_the_serial_subscribers_of_a_message_run_one_after_the_other_in_order(scene: Scene) -> None:
    await scene.subscribe("last", mode="serial", order=9)
    await chain(scene)
    await scene.emit()
    assert await run(scene) == ["s0", "s1", "s2", "last"]


@pytest.mark.parametrize("setback", ["retry", "release", "crash"])
async def test_a_chain_waits_for_its_head_through_its_setbacks(
    scene: Scene, connection: db.Connection, setback: str
) -> None:
    await chain(scene, retry=RetryPolicy(max_attempts=3, first_delay=0))
    await scene.emit()
    for _ in range(1 if setback == "crash" else 2):
        (head,) = await scene.claim()
        if setback == "crash":
            await scene.lose(connection)
        else:
            state = State.RETRYING if setback == "retry" else State.PENDING
            await scene.settle(head, state, delay=0 if setback == "retry" else None)
        await scene.store.promote_due(10)
    assert await run(scene) == ["s0", "s1", "s2"]


async def test_a_chain_stays_blocked_behind_a_failed_head(scene: Scene, connection: db.Connection) -> None:
    await chain(scene)
    await scene.emit()
    (head,) = await scene.claim()
    await scene.settle(head, State.FAILED)
    assert await scene.claim() == []
    assert states(connection) == {"s0": "failed", "s1": "blocked", "s2": "blocked"}


async def test_a_chain_goes_on_without_a_failed_one_that_lets_itself_be_skipped(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    await chain(scene, on_failure="skip")
    message_id = await scene.emit()
    (head,) = await scene.claim()
    await scene.settle(head, State.FAILED)
    (second,) = await scene.claim()
    operations.replay([scene.ref(message_id, "s0")], reason="again")
    assert await scene.claim() == [], "the replayed head waits for what runs"
    await scene.settle(second)
    assert await run(scene) == ["s0", "s2"]
    assert states(connection) == {"s0": "succeeded", "s1": "succeeded", "s2": "succeeded"}


async def test_a_policy_that_turns_from_block_to_skip_frees_the_chains_that_wait(
    scene: Scene, connection: db.Connection
) -> None:
    await chain(scene)
    for _ in range(2):
        await scene.emit()
    first, second = await scene.claim()
    await scene.settle(first, State.FAILED)
    await scene.settle(second, State.FAILED)
    await scene.subscribe("s1", mode="serial", order=1, on_failure="skip")
    assert await scene.claim() == [], "it is s0 that failed"
    await scene.subscribe("s0", mode="serial", order=0, on_failure="skip")
    assert scene.names_of(await scene.claim()) == ["s1", "s1"]


async def test_a_replayed_later_one_waits_behind_an_earlier_one_that_has_failed(
    scene: Scene, operations: Operations
) -> None:
    await chain(scene, on_failure="skip")
    message_id = await scene.emit()
    (head,) = await scene.claim()
    await scene.settle(head, State.FAILED)
    assert await run(scene) == ["s1", "s2"]
    await scene.subscribe("s0", mode="serial", order=0)  # it blocks from now on
    operations.replay([scene.ref(message_id, "s2")], reason="again")
    assert await scene.claim() == []
    operations.replay([scene.ref(message_id, "s0")], reason="again")
    assert await run(scene) == ["s0", "s2"]


async def test_a_replayed_later_one_waits_behind_an_earlier_one_that_is_blocked(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    await chain(scene)
    message_id = await scene.emit()
    operations.cancel([scene.ref(message_id, "s2")])
    (head,) = await scene.claim()
    operations.replay([scene.ref(message_id, "s2")], reason="again")
    assert states(connection) == {"s0": "running", "s1": "blocked", "s2": "blocked"}
    await scene.settle(head)
    assert await run(scene) == ["s1", "s2"]


async def test_a_replayed_later_one_behind_earlier_ones_that_went_well_runs(
    scene: Scene, operations: Operations
) -> None:
    await chain(scene)
    message_id = await scene.emit()
    await run(scene)
    operations.replay([scene.ref(message_id, "s2")], reason="again")
    assert await run(scene) == ["s2"]


async def test_two_messages_do_not_wait_for_each_other_s_chains(scene: Scene) -> None:
    await chain(scene)
    await scene.emit()
    await scene.emit()
    assert scene.names_of(await scene.claim()) == ["s0", "s0"]


async def test_a_scheduled_chain_is_one_chain_when_it_is_due(scene: Scene, connection: db.Connection) -> None:
    await chain(scene)
    await scene.store.emit_many([Said("departed", "{}", delay=3600.0)])
    assert states(connection) == {"s0": "scheduled", "s1": "blocked", "s2": "blocked"}
    connection.execute("UPDATE buslog.deliveries SET due_at = clock_timestamp() WHERE state = 'scheduled'")
    await scene.store.promote_due(10)
    assert await run(scene) == ["s0", "s1", "s2"]
