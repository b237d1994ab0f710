"""A step of a stored run does not wait for its disk: what a server that dies takes with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.filter import Filter
from buslog.message import State
from buslog.replays import Replays
from buslog.store import Store

from ..store.conftest import Scene
from .server import Patient

FAILED = Filter(states=(State.FAILED,))
MANY = 50


@pytest.fixture
def unhurried(patient: Patient) -> Iterator[str]:
    """A database of a server that writes nothing of its own accord that nobody has waited for."""
    dsn = patient.create()
    with db.connect(dsn) as connection:
        connection.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        connection.execute("SELECT pg_reload_conf()")
    yield dsn
    with db.connect(dsn) as connection:
        connection.execute("ALTER SYSTEM RESET wal_writer_delay")
        connection.execute("SELECT pg_reload_conf()")
    patient.drop(dsn)


@asynccontextmanager
async def scene_of(dsn: str) -> AsyncIterator[Scene]:
    store = Store(dsn)
    await store.open()
    scene = Scene(store)
    await scene.subscribe("mail")
    yield scene
    await store.close()


@pytest.mark.parametrize("is_claimed", [False, True], ids=["before-a-claim", "after-a-claim"])
async def test_a_server_that_dies_undoes_a_step_whole_and_none_of_which_anything_was_claimed(
    patient: Patient, unhurried: str, *, is_claimed: bool
) -> None:
    replays = Replays(unhurried, Actor("local:tester", "cli"))
    async with scene_of(unhurried) as scene:
        for _ in range(MANY):
            await scene.emit()
        for claimed in await scene.claim(MANY):
            await scene.settle(claimed, State.FAILED)
        run = replays.start(replays.preview(FAILED).run, canary=0, undo=0).id
        assert (await scene.store.carry_on(MANY)).moved == MANY
        if is_claimed:
            assert len(await scene.claim(1)) == 1
        patient.stop_at_once()
    patient.restart()
    patient.wait_until_it_answers(unhurried)
    found = replays.run(run)
    assert (found.waiting, found.sent) in ({(0, MANY)} if is_claimed else {(0, MANY), (MANY, 0)})
    with db.connect(unhurried) as connection:
        sent = connection.execute("SELECT count(*) FROM buslog.deliveries WHERE generation = 2").fetchone()
        audited = connection.execute("SELECT count(*) FROM buslog.operations WHERE verb = 'replay'").fetchone()
        connection.execute("UPDATE buslog.replays SET next_at = clock_timestamp()")
    assert sent == audited == (found.sent,), "all of a step, or nothing"
    async with scene_of(unhurried) as scene:
        assert (await scene.store.carry_on(MANY)).moved == found.waiting
        assert [claimed.generation for claimed in await scene.claim(MANY)] == [2] * (MANY - is_claimed)
