"""Stored runs as people meet them: what a preview warns of, what was picked by hand, what wants a reason, the list."""

from __future__ import annotations

from uuid import UUID

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.errors import OperationRefused
from buslog.filter import Filter
from buslog.insights import Insights
from buslog.message import DeliveryRef, Kind, State
from buslog.operations import Operations
from buslog.replays import Caused, ItemState, Replays, RunState, Verb

from .conftest import Scene

FAILED = Filter(states=(State.FAILED,))
SUCCEEDED = Filter(states=(State.SUCCEEDED,))


@pytest.fixture
def replays(dsn: str) -> Replays:
    return Replays(dsn, Actor("local:tester", "cli"))


async def send(scene: Scene, state: State, number: int = 1, *, key: str | None = None) -> list[UUID]:
    """So many deliveries of `mail` that end in a state."""
    if "mail" not in scene.numbers:
        await scene.subscribe("mail")
    messages = [await scene.emit(key=key or f"S-{place}") for place in range(number)]
    await settle(scene, state)
    return messages


async def settle(scene: Scene, state: State) -> None:
    for claimed in await scene.claim(100):
        await scene.settle(claimed, state)


async def carry_on(scene: Scene, connection: db.Connection, steps: int = 1) -> None:
    for _ in range(steps):
        connection.execute("UPDATE buslog.replays SET next_at = clock_timestamp() WHERE next_at IS NOT NULL")
        await scene.store.carry_on(1000)


# ── what a preview warns of ─────────────────────────────────────────────────────


async def test_a_preview_tells_what_its_messages_have_caused_directly_or_not(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    first, second = await send(scene, State.FAILED, 2)
    unrelated = await scene.emit("other")

    def cause(name: str, by: UUID) -> UUID:
        row = connection.execute("SELECT buslog.emit(%s, '{}', causation_id => %s)", [name, by]).fetchone()
        assert row is not None
        found: UUID = row[0]
        return found

    mailed = cause("customerMailed", first)
    cause("customerMailed", second)
    cause("mailArchived", mailed)
    cause("nothingToDoWithIt", unrelated)
    assert replays.preview(FAILED).caused == [
        Caused("customerMailed", Kind.EVENT, 2),
        Caused("mailArchived", Kind.EVENT, 1),
    ]
    assert replays.preview(FAILED, Verb.CANCEL).caused == [], "a cancel causes nothing"


async def test_what_was_caused_is_left_open_where_it_takes_too_long_to_find_out(
    scene: Scene, replays: Replays, connection: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await send(scene, State.FAILED)
    connection.execute("CREATE OR REPLACE FUNCTION buslog.caused_by(messages uuid[], subscriptions integer[])"
                       " RETURNS TABLE (name text, kind buslog.kind, messages_caused bigint) LANGUAGE sql AS"
                       " 'SELECT pg_sleep(30)::text, NULL::buslog.kind, 1::bigint'")  # fmt: skip
    monkeypatch.setattr(db, "LOOK_MS", 100)
    found = replays.preview(FAILED)
    assert (found.eligible, found.caused) == (1, None)


async def test_what_is_superseded_can_be_left_out(scene: Scene, replays: Replays, connection: db.Connection) -> None:
    old, new = *(await send(scene, State.FAILED, key="S-1")), *(await send(scene, State.FAILED, key="S-2"))
    await send(scene, State.SUCCEEDED, key="S-1")
    found = replays.preview(FAILED)
    assert (found.eligible, found.superseded) == (2, 1)
    run = replays.start(found.run, canary=0, undo=0, leave_superseded=True)
    assert (run.waiting, run.skipped) == (1, 1)
    await carry_on(scene, connection)
    assert {item.message_id: (item.state, item.reason) for item in replays.items(run.id)} == {
        old: (ItemState.SKIPPED, "superseded"), new: (ItemState.SENT, None),
    }  # fmt: skip
    (audited,) = connection.execute("SELECT outcome FROM buslog.operations WHERE verb = 'replay many'").fetchall()
    assert audited[0]["deliveries"] == 1


async def test_a_run_of_nothing_but_what_is_superseded_is_not_started_without_it(
    scene: Scene, replays: Replays
) -> None:
    await send(scene, State.FAILED, key="S-1")
    await send(scene, State.SUCCEEDED, key="S-1")
    found = replays.preview(FAILED)
    with pytest.raises(OperationRefused, match="has a delivery to send"):
        replays.start(found.run, leave_superseded=True)
    assert replays.run(found.run).state is RunState.PREVIEWED


# ── what was picked by hand ─────────────────────────────────────────────────────


async def test_what_was_picked_by_hand_is_frozen_alone_and_the_rest_is_told_why_not(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    picked = (await send(scene, State.FAILED, 3))[:2]
    (open_,) = [await scene.emit()]
    refs = [scene.ref(message) for message in (*picked, open_)]
    found = replays.preview_selected(refs, filter_=FAILED)
    assert (found.eligible, found.is_selected, found.filter) == (2, True, FAILED)
    assert {reason: count.value for reason, count in found.skipped.items()} == {"in flight": 1}
    run = replays.start(found.run, canary=0, undo=0)
    assert run.is_selected
    await carry_on(scene, connection)
    assert {item.message_id for item in replays.items(run.id, state=ItemState.SENT)} == set(picked)


async def test_more_than_a_run_takes_cannot_be_picked(replays: Replays, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buslog.replays.MOST", 1)
    with pytest.raises(OperationRefused, match="no more than a run takes"):
        replays.preview_selected([DeliveryRef(UUID(int=number), "mail") for number in range(2)])


# ── what had succeeded ──────────────────────────────────────────────────────────


async def test_what_succeeded_is_replayed_only_where_it_is_asked_for_and_with_a_reason(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await send(scene, State.SUCCEEDED, 2)
    await send(scene, State.FAILED)
    assert replays.preview(Filter()).eligible == 1
    found = replays.preview(SUCCEEDED)
    assert (found.eligible, found.again) == (2, 2)
    with pytest.raises(OperationRefused, match="given for a replay of what has succeeded"):
        replays.start(found.run, reason=" ")
    assert replays.run(found.run).state is RunState.PREVIEWED
    run = replays.start(found.run, reason="the customer never got the mail", canary=0, undo=0)
    await carry_on(scene, connection)
    assert [(claimed.generation, claimed.repeats) for claimed in await scene.claim()] == [(2, 1), (2, 1)]
    assert {item.was for item in replays.items(run.id)} == {State.SUCCEEDED}


async def test_a_single_replay_of_what_succeeded_wants_a_reason_too(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    (message,) = await send(scene, State.SUCCEEDED)
    with pytest.raises(OperationRefused, match="given for a replay of what has succeeded"):
        operations.replay([scene.ref(message)])
    assert await scene.claim() == []
    operations.replay([scene.ref(message)], reason="the mail was lost")
    assert len(await scene.claim()) == 1


# ── history ─────────────────────────────────────────────────────────────────────


async def test_failed_and_replayed_and_failed_and_replayed_keeps_all_of_it(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    (message,) = await send(scene, State.FAILED)
    first = replays.start(replays.preview(FAILED).run, canary=0, undo=0)
    await carry_on(scene, connection)
    await settle(scene, State.FAILED)
    await carry_on(scene, connection, steps=2)
    again = replays.start(replays.preview_failed(first.id).run, canary=0, undo=0)
    await carry_on(scene, connection)
    await settle(scene, State.SUCCEEDED)
    await carry_on(scene, connection, steps=2)
    found = connection.execute(
        "SELECT generation, state::text, latest FROM buslog.ended_deliveries ORDER BY generation"
    ).fetchall()
    assert found == [(1, "failed", False), (2, "failed", False), (3, "succeeded", True)]
    attempts = connection.execute("SELECT generation, error FROM buslog.attempts ORDER BY generation").fetchall()
    assert attempts == [(1, "broken"), (2, "broken")]
    (item,), (item_again,) = replays.items(first.id), replays.items(again.id)
    assert (item.state, item.error_type) == (ItemState.FAILED_AGAIN, "ValueError")
    assert item_again.state is ItemState.SUCCEEDED
    assert replays.run(again.id).failed_of == first.id
    said = connection.execute("SELECT outcome ->> 'run' FROM buslog.operations WHERE message_id = %s", [message])
    assert [row[0] for row in said.fetchall()] == [str(first.id), str(again.id)]


# ── the list ────────────────────────────────────────────────────────────────────


async def test_the_runs_are_listed_newest_first_by_pages_and_without_previews(
    scene: Scene, replays: Replays, dsn: str
) -> None:
    await send(scene, State.FAILED)
    started = [replays.start(replays.preview(FAILED).run).id for _ in range(5)]
    replays.preview(FAILED)
    newest = replays.runs(places=3)
    assert [run.id for run in newest] == started[:1:-1]
    assert [run.id for run in replays.runs(before=newest[-1].id, places=3)] == started[1::-1]
    insights = Insights(dsn)
    assert insights.runs(places=3) == newest
    assert insights.run(started[0]) == replays.run(started[0])
    assert insights.run(10**9) is None
    insights.close()


async def test_what_a_run_is_made_of_is_counted(scene: Scene, replays: Replays, connection: db.Connection) -> None:
    await send(scene, State.FAILED, 3)
    await scene.subscribe("invoice", unsafe_to_replay="sends money")
    await scene.emit()
    await settle(scene, State.FAILED)
    run = replays.start(replays.preview(FAILED).run, canary=2, undo=0)
    await carry_on(scene, connection)
    insights = Insights(replays._dsn)
    found = insights.run_set(run.id)
    assert found.was == {State.FAILED: 4}
    assert found.canary == {ItemState.SENT: 2}
    assert found.skipped == {"unsafe to replay: sends money": 1}
    assert len(insights.run_items(run.id, superseded=True)) == found.superseded
    insights.close()
