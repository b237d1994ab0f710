"""A delivery under which workers die runs with no neighbours, so that it does not use up their attempts."""

from __future__ import annotations

from buslog import Rate, RetryPolicy, db
from buslog.message import State
from buslog.operations import Operations

from .conftest import Scene, states

QUICK = RetryPolicy(max_attempts=5, first_delay=0)


async def lose_once(scene: Scene, connection: db.Connection) -> None:
    assert await scene.claim(), "claimed with its neighbours"
    await scene.lose(connection)
    await scene.store.promote_due(10)


async def test_after_two_lost_workers_it_is_claimed_alone_and_no_other_way(
    scene: Scene, connection: db.Connection
) -> None:
    await scene.subscribe("mail", retry=QUICK)
    await scene.emit()
    assert await scene.claim_alone() is None
    await lose_once(scene, connection)
    assert await scene.claim_alone() is None, "one worker may die of anything"
    await lose_once(scene, connection)
    assert await scene.claim() == []
    claimed = await scene.claim_alone()
    assert claimed is not None
    assert claimed.attempt == 3
    assert await scene.claim_alone() is None
    assert await scene.settle(claimed)
    assert states(connection) == {"mail": "succeeded"}


async def test_with_one_attempt_left_it_runs_alone_so_that_it_fails_by_its_own_fault(
    scene: Scene, connection: db.Connection
) -> None:
    await scene.subscribe("mail", retry=RetryPolicy(max_attempts=2, first_delay=0))
    await scene.emit()
    await lose_once(scene, connection)
    assert await scene.claim() == []
    assert await scene.claim_alone() is not None
    await scene.lose(connection)
    assert states(connection) == {"mail": "failed"}


async def test_errors_of_its_own_do_not_make_it_run_alone(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail", retry=QUICK)
    await scene.emit()
    for _ in range(2):
        (claimed,) = await scene.claim()
        await scene.settle(claimed, State.RETRYING, delay=0)
        await scene.store.promote_due(10)
    await lose_once(scene, connection)
    assert len(await scene.claim()) == 1, "with one attempt left after this one"


async def test_it_stays_alone_through_its_retries_and_a_release(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail", retry=QUICK)
    await scene.emit()
    await lose_once(scene, connection)
    await lose_once(scene, connection)
    for state in (State.PENDING, State.RETRYING):
        claimed = await scene.claim_alone()
        assert claimed is not None
        await scene.settle(claimed, state, delay=0 if state is State.RETRYING else None)
        await scene.store.promote_due(10)
        assert await scene.claim() == []


async def test_a_replay_of_it_begins_among_the_others_again(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    await scene.subscribe("mail", retry=RetryPolicy(max_attempts=2, first_delay=0))
    message_id = await scene.emit()
    await lose_once(scene, connection)
    assert await scene.claim_alone() is not None
    await scene.lose(connection)
    operations.replay([scene.ref(message_id)])
    assert len(await scene.claim()) == 1


async def test_of_two_workers_one_gets_it_and_a_paused_one_nobody(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    await scene.subscribe("mail", retry=QUICK)
    await scene.emit()
    await lose_once(scene, connection)
    await lose_once(scene, connection)
    operations.pause("mail")
    assert await scene.claim_alone() is None
    operations.resume("mail")
    other = await scene.enter()
    assert [await scene.claim_alone(other) is None, await scene.claim_alone() is None] == [False, True]


async def test_limits_hold_for_it_too(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail", retry=QUICK, rate=Rate(4, per=3600))
    await scene.emit()
    await lose_once(scene, connection)
    await lose_once(scene, connection)
    assert await scene.claim_alone() is not None
    await scene.emit()
    await scene.emit()
    assert len(await scene.claim()) == 1, "the third and the fourth start"


async def test_it_holds_its_key_and_its_chain_while_it_waits(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail", retry=QUICK, ordered_by_key=True)
    first, _ = await scene.emit(key="a"), await scene.emit(key="a")
    await lose_once(scene, connection)
    await lose_once(scene, connection)
    assert await scene.claim() == []
    claimed = await scene.claim_alone()
    assert claimed is not None
    assert claimed.message_id == first
    await scene.settle(claimed)
    assert len(await scene.claim()) == 1
