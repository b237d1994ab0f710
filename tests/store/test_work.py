from __future__ import annotations

import asyncio

from buslog import RetryPolicy, db
from buslog.execution import Outcome
from buslog.message import State
from buslog.payload import checked_delay
from buslog.store import Said, Settlement

from .conftest import Scene, states


async def test_a_claim_takes_each_delivery_once_in_order_and_counts_the_attempt(scene: Scene) -> None:
    await scene.subscribe("mail")
    ids = [await scene.emit() for _ in range(5)]
    first, second = await scene.claim(3), await scene.claim(3)
    assert [c.message_id for c in first + second] == ids
    assert {c.attempt for c in first + second} == {1}
    assert await scene.claim() == []


async def test_two_workers_never_claim_the_same_delivery(scene: Scene) -> None:
    await scene.subscribe("mail")
    for _ in range(60):
        await scene.emit()
    takes = await asyncio.gather(*(scene.claim(10) for _ in range(10)))
    claimed = [c.message_id for take in takes for c in take]
    assert len(claimed) == len(set(claimed))


async def test_a_busy_subscription_does_not_hide_the_others(scene: Scene) -> None:
    await scene.subscribe("busy", name="often")
    await scene.subscribe("quiet", name="seldom")
    for _ in range(20):
        await scene.emit("often")
    await scene.emit("seldom")
    orders = [list(scene.numbers.values()), list(scene.numbers.values())[::-1]]
    claims = [c for order in orders for c in await scene.store.claim(scene.worker, order, 2)]
    assert "quiet" in scene.names_of(claims)


async def test_a_worker_claims_only_what_it_hosts(scene: Scene) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    assert await scene.store.claim(scene.worker, [999], 10) == []


async def test_a_success_leaves_the_hot_table_and_stays_in_the_log(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    (claimed,) = await scene.claim()
    assert await scene.settle(claimed)
    assert connection.execute("SELECT count(*) FROM buslog.deliveries").fetchone() == (0,)
    assert states(connection) == {"mail": "succeeded"}


async def test_a_stale_worker_cannot_settle_a_rescued_delivery(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    (stale,) = await scene.claim()
    connection.execute("UPDATE buslog.workers SET lease = 0, lease_until = clock_timestamp() - interval '1 second'")
    assert await scene.store.retire_workers()
    (orphan,) = await scene.store.orphans(10)
    assert orphan.fence == stale.fence
    assert await scene.settle(stale, State.RETRYING, delay=0)  # the rescuer's, with the same fence
    assert not await scene.settle(stale)
    await scene.store.promote_due(10)
    scene.worker = await scene.store.enter("host:2", "test", list(scene.numbers.values()), 60)
    (fresh,) = await scene.claim()
    assert not await scene.settle(stale)
    assert (fresh.attempt, await scene.settle(fresh)) == (2, True)
    assert states(connection) == {"mail": "succeeded"}


async def test_a_worker_without_a_row_is_an_orphan_s_worker_too(scene: Scene) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    await scene.claim()
    await scene.store.leave(scene.worker)
    assert len(await scene.store.orphans(10)) == 1


async def test_the_deliveries_of_a_live_worker_are_not_orphans(scene: Scene) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    await scene.claim()
    assert not await scene.store.retire_workers()
    assert await scene.store.orphans(10) == []


async def test_retired_workers_are_forgotten_only_when_they_hold_nothing(
    scene: Scene, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    (claimed,) = await scene.claim()
    connection.execute("UPDATE buslog.workers SET lease = 0, lease_until = clock_timestamp() - interval '1 second'")
    await scene.store.retire_workers()
    await scene.store.forget_retired()
    assert await scene.store.retire_workers(), "still to be rescued"
    await scene.settle(claimed)
    await scene.store.forget_retired()
    assert not await scene.store.retire_workers()


async def test_an_error_waits_for_its_time_and_keeps_its_history(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    (claimed,) = await scene.claim()
    await scene.settle(claimed, State.RETRYING, delay=60)
    assert states(connection) == {"mail": "retrying"}
    promoted, next_in = await scene.store.promote_due(10)
    assert promoted == 0
    assert 50 < (next_in or 0) <= 60
    assert await scene.claim() == []
    row = connection.execute("SELECT attempts, last_error_type, last_error FROM buslog.log").fetchone()
    assert row == (1, "ValueError", "broken")


async def test_when_nothing_waits_for_its_time_nothing_is_due_next(scene: Scene) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    assert await scene.store.promote_due(10) == (0, None)


async def test_a_released_delivery_is_not_charged(scene: Scene) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    (claimed,) = await scene.claim()
    await scene.settle(claimed, State.PENDING)
    (again,) = await scene.claim()
    assert again.attempt == 1
    assert again.fence > claimed.fence


async def test_one_commit_settles_many_outcomes_and_drops_the_stale_ones(scene: Scene) -> None:
    await scene.subscribe("mail")
    for _ in range(10):
        await scene.emit()
    claims = await scene.claim(10)
    settlements = [
        Settlement(c.message_id, c.subscription_id, c.fence + (i == 3) * 10**6, Outcome(State.SUCCEEDED))
        for i, c in enumerate(claims)
    ]
    accepted = await scene.store.settle(settlements, "host:1", "")
    assert accepted == {c.fence for i, c in enumerate(claims) if i != 3}


async def test_a_claim_does_not_wait_for_a_delivery_that_another_transaction_holds(
    scene: Scene, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    ids = [await scene.emit() for _ in range(3)]
    with connection.transaction():
        connection.execute("SELECT FROM buslog.deliveries WHERE message_id = %s FOR UPDATE", [ids[0]])
        claims = await asyncio.wait_for(scene.claim(), 30)
    assert [c.message_id for c in claims] == ids[1:]


async def test_waits_given_as_whole_seconds_and_as_fractions_settle_together(scene: Scene) -> None:
    await scene.subscribe("mail")
    policies = [RetryPolicy(first_delay=1, factor=1, jitter=0, max_delay=1), RetryPolicy(first_delay=0.5)]
    await scene.store.emit_many([Said("departed", "{}"), Said("departed", "{}")])
    await scene.store.emit_many([Said("later", "{}", delay=checked_delay(d)) for d in (3600, 0.5, None)])
    claims = await scene.claim()
    settlements = [
        Settlement(c.message_id, c.subscription_id, c.fence, Outcome(State.RETRYING, delay=p.delay_after(1)))
        for c, p in zip(claims, policies, strict=True)
    ]
    assert len(await scene.store.settle(settlements, "host:1", "")) == 2


async def test_a_worker_whose_lease_has_lapsed_claims_nothing(scene: Scene, connection: db.Connection) -> None:
    await scene.subscribe("mail")
    await scene.emit()
    connection.execute("UPDATE buslog.workers SET lease_until = clock_timestamp() - interval '1 second'")
    assert await scene.claim() == []


async def test_after_a_restart_of_the_server_workers_get_the_time_of_a_lease_to_beat_again(
    scene: Scene, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    connection.execute("UPDATE buslog.workers SET lease = 1e6, lease_until = clock_timestamp() - interval '1 second'")
    assert not await scene.store.retire_workers()
