"""Who waits for whom: nothing holds a lock that another one needs while it waits for that other one's."""

from __future__ import annotations

import asyncio

import pytest

from buslog import db
from buslog.message import State
from buslog.operations import Operations
from buslog.store import Said

from .conftest import Scene, states_of


@pytest.mark.parametrize("verb", ["cancel", "run_now"])
async def test_an_operation_that_waits_for_a_settle_of_the_same_deliveries_keeps_none_of_them_from_it(
    scene: Scene, operations: Operations, connection: db.Connection, verb: str
) -> None:
    await scene.subscribe("mail")
    first, second = await scene.emit(), await scene.emit()
    for claimed in await scene.claim():
        if verb == "run_now":
            await scene.settle(claimed, State.RETRYING, delay=3600)
    lock = "UPDATE buslog.deliveries SET alone = alone WHERE message_id = %s"
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '2s'")
        connection.execute(lock, [second])  # as a settle that goes through them the other way round
        operation = asyncio.create_task(
            asyncio.to_thread(getattr(operations, verb), [scene.ref(first), scene.ref(second)])
        )
        await asyncio.sleep(0.3)
        connection.execute(lock, [first])
    assert len(await operation) == 2
    assert states_of(connection, first, second) == ["cancelled" if verb == "cancel" else "pending"] * 2


async def test_a_registration_and_an_emit_of_the_same_new_names_wait_and_do_not_deadlock(
    scene: Scene, connection: db.Connection
) -> None:
    with connection.transaction():
        connection.execute("SELECT buslog.emit('arrived', '{}')")
        registration = asyncio.create_task(scene.subscribe("mail", name=["departed", "arrived"]))
        await asyncio.sleep(0.3)
        connection.execute("SET LOCAL lock_timeout = '2s'")
        connection.execute("SELECT buslog.emit('departed', '{}')")
    await registration


async def test_an_operation_on_many_thousands_of_deliveries_does_not_run_out_of_locks(
    scene: Scene, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    stored = [s for _ in range(40) for s in await scene.store.emit_many([Said("departed", "{}")] * 500)]
    every = [one.message_id for one in stored], [scene.numbers["mail"]] * len(stored)
    for verb in ("cancel", "replay"):
        assert len(connection.execute(db.query(verb), every).fetchall()) == 20_000
