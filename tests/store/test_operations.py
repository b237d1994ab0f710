from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel

from buslog import Bus, db
from buslog.desk import Actor
from buslog.errors import DatabaseUnavailable, InvalidMessage, NotFound, OperationRefused, UnknownCommand
from buslog.message import DeliveryRef, State
from buslog.operations import Operations
from buslog.store import Lease, Said

from .conftest import Scene, states


def audit(connection: db.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT actor, verb, subscription, reason FROM buslog.operations ORDER BY id").fetchall()


async def failed(scene: Scene, subscription: str = "mail") -> DeliveryRef:
    await scene.subscribe(subscription)
    message_id = await scene.emit()
    (claimed,) = await scene.claim()
    await scene.settle(claimed, State.FAILED)
    return DeliveryRef(message_id, subscription)


async def test_a_replay_sends_only_what_failed_again_and_keeps_the_history(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    await scene.subscribe("task")
    ref = await failed_beside_a_success(scene)
    assert operations.replay([ref], reason="carrier is back") == [ref]
    (again,) = await scene.claim()
    assert (scene.names_of([again]), again.generation, again.attempt) == (["mail"], 2, 1)
    await scene.settle(again, State.FAILED)
    operations.replay([ref])
    (third,) = await scene.claim()
    await scene.settle(third)
    assert states(connection) == {"mail": "succeeded", "task": "succeeded"}
    history = connection.execute(
        "SELECT generation, state::text FROM buslog.ended_deliveries e JOIN buslog.subscriptions s"
        " ON s.id = e.subscription_id WHERE s.subscription = 'mail' ORDER BY generation"
    ).fetchall()
    assert history == [(1, "failed"), (2, "failed"), (3, "succeeded")]
    assert audit(connection) == [
        ("local:tester", "replay", "mail", "carrier is back"),
        ("local:tester", "replay", "mail", None),
    ]


async def failed_beside_a_success(scene: Scene) -> DeliveryRef:
    await scene.subscribe("mail")
    message_id = await scene.emit()
    for claimed in await scene.claim():
        is_mail = scene.names_of([claimed]) == ["mail"]
        await scene.settle(claimed, State.FAILED if is_mail else State.SUCCEEDED)
    return DeliveryRef(message_id, "mail")


async def test_two_replays_at_once_send_a_delivery_once(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    ref = await failed(scene)
    results = await asyncio.gather(
        *(asyncio.to_thread(operations.replay, [ref]) for _ in range(6)), return_exceptions=True
    )
    assert sum(result == [ref] for result in results) == 1
    assert sum(isinstance(result, OperationRefused) for result in results) == 5
    assert len(await scene.claim()) == 1
    assert len(audit(connection)) == 1


async def test_a_repeat_of_what_succeeded_has_an_idempotency_key_of_its_own(
    scene: Scene, operations: Operations
) -> None:
    await scene.subscribe("mail")
    ref = DeliveryRef(await scene.emit(), "mail")
    (claimed,) = await scene.claim()
    await scene.settle(claimed)
    operations.replay([ref], reason="the mail was lost")
    (again,) = await scene.claim()
    assert (claimed.repeats, again.repeats) == (0, 1)


async def test_run_now_makes_a_retrying_delivery_due_and_charges_no_attempt(
    scene: Scene, operations: Operations
) -> None:
    await scene.subscribe("mail")
    ref = DeliveryRef(await scene.emit(), "mail")
    (claimed,) = await scene.claim()
    await scene.settle(claimed, State.RETRYING, delay=3600)
    operations.run_now([ref])
    (again,) = await scene.claim()
    assert again.attempt == 2


@pytest.mark.parametrize("state", [State.PENDING, State.RUNNING, State.RETRYING, State.FAILED])
async def test_cancel_ends_what_is_open_or_failed_and_refuses_a_late_outcome(
    scene: Scene, operations: Operations, connection: db.Connection, state: State
) -> None:
    await scene.subscribe("mail")
    ref = DeliveryRef(await scene.emit(), "mail")
    claims = [] if state is State.PENDING else await scene.claim()
    if state in {State.RETRYING, State.FAILED}:
        await scene.settle(claims[0], state, delay=60)
    operations.cancel([ref], reason="nobody will mend it")
    assert states(connection) == {"mail": "cancelled"}
    for claimed in claims:
        assert not await scene.settle(claimed)
    row = connection.execute("SELECT attempts, last_error_type FROM buslog.log").fetchone()
    assert row == (len(claims), "ValueError" if state is State.FAILED else None)
    assert audit(connection) == [("local:tester", "cancel", "mail", "nobody will mend it")]


async def test_what_has_ended_well_cannot_be_cancelled_nor_run_now(scene: Scene, operations: Operations) -> None:
    await scene.subscribe("mail")
    ref = DeliveryRef(await scene.emit(), "mail")
    (claimed,) = await scene.claim()
    await scene.settle(claimed)
    for operation in (operations.cancel, operations.run_now):
        with pytest.raises(OperationRefused, match="succeeded"):
            operation([ref])


def test_an_unknown_delivery_is_named_and_nothing_is_audited(operations: Operations, connection: db.Connection) -> None:
    with pytest.raises(NotFound):
        operations.replay([DeliveryRef(uuid4(), "mail")])
    assert audit(connection) == []


async def test_replaying_the_failed_head_lets_its_chain_go_on(scene: Scene, operations: Operations) -> None:
    for place in range(3):
        await scene.subscribe(f"s{place}", mode="serial", order=place)
    message_id = await scene.emit()
    (head,) = await scene.claim()
    await scene.settle(head, State.FAILED)
    operations.replay([DeliveryRef(message_id, "s0")])
    ran = []
    while claims := await scene.claim():
        ran += scene.names_of(claims)
        await scene.settle(claims[0])
    assert ran == ["s0", "s1", "s2"]


async def test_cancelling_the_failed_head_lets_its_chain_go_on_without_it(scene: Scene, operations: Operations) -> None:
    for place in range(2):
        await scene.subscribe(f"s{place}", mode="serial", order=place)
    message_id = await scene.emit()
    (head,) = await scene.claim()
    await scene.settle(head, State.FAILED)
    operations.cancel([DeliveryRef(message_id, "s0")], reason="nobody will mend it")
    assert scene.names_of(await scene.claim()) == ["s1"]


async def test_replaying_a_whole_chain_runs_it_one_after_the_other_again(scene: Scene, operations: Operations) -> None:
    refs = []
    for place in range(3):
        await scene.subscribe(f"s{place}", mode="serial", order=place)
    message_id = await scene.emit()
    while claims := await scene.claim():
        await scene.settle(claims[0])
    refs = [DeliveryRef(message_id, f"s{place}") for place in (2, 0, 1)]
    for ref in refs:
        operations.replay([ref], reason="again")
    ran = []
    while claims := await scene.claim():
        assert len(claims) == 1
        ran += scene.names_of(claims)
        await scene.settle(claims[0])
    assert sorted(ran) == ["s0", "s1", "s2"]
    operations.replay(refs, reason="again")
    ran = []
    while claims := await scene.claim():
        assert len(claims) == 1
        ran += scene.names_of(claims)
        await scene.settle(claims[0])
    assert ran == ["s0", "s1", "s2"]


class Resync(BaseModel):
    shipmentId: str  # noqa: N815
    depth: int = 1


async def register_resync(scene: Scene) -> None:
    bus = Bus()
    bus.command("resyncTracking", payload=Resync, id="resync")(lambda _: None)
    (subscription,) = bus._registry
    await scene.store.register(subscription, "")


async def test_a_command_run_by_hand_is_a_message_with_its_actor_and_an_audit_row(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    await register_resync(scene)
    message_id = operations.run_command("resyncTracking", {"shipmentId": "S-42"}, reason="asked by the customer")
    row = connection.execute("SELECT id, kind::text, key, source, actor FROM buslog.messages").fetchone()
    assert row == (message_id, "command", "S-42", "cli", "local:tester")
    assert audit(connection) == [("local:tester", "run", "resync", "asked by the customer")]


async def test_an_unknown_command_is_refused_with_did_you_mean(scene: Scene, operations: Operations) -> None:
    await register_resync(scene)
    with pytest.raises(UnknownCommand, match="Did you mean resyncTracking"):
        operations.run_command("resynctracking", {})


@pytest.mark.parametrize("payload", [{}, {"shipmentId": 42}, {"shipmentId": "S", "depth": "x"}])
async def test_a_payload_that_breaks_the_command_s_schema_is_refused_before_it_is_stored(
    scene: Scene, operations: Operations, connection: db.Connection, payload: dict[str, object]
) -> None:
    await register_resync(scene)
    with pytest.raises(InvalidMessage, match="payload"):
        operations.run_command("resyncTracking", payload)
    assert connection.execute("SELECT count(*) FROM buslog.messages").fetchone() == (0,)
    assert audit(connection) == []


def test_a_database_that_is_down_is_said_without_the_password() -> None:
    operations = Operations("postgresql://me:secret@127.0.0.1:1/x", Actor("local:tester", "cli"))
    with pytest.raises(DatabaseUnavailable) as caught:
        operations.replay([DeliveryRef(UUID(int=0), "mail")])
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_paused_subscription_is_not_claimed_until_it_is_resumed(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    mail, _ = await scene.subscribe("mail"), await scene.subscribe("task")
    assert operations.pause("mail", reason="mail server is being moved")
    assert not operations.pause("mail")
    (stored,) = await scene.store.emit_many([Said("departed", "{}")], Lease(scene.worker, [mail], places=5))
    assert not stored.leased, "born leased would be run"
    assert scene.names_of(await scene.claim()) == ["task"]
    await scene.subscribe("mail")
    assert await scene.claim() == [], "registering anew, as every restart does, does not resume"
    assert operations.resume("mail")
    assert not operations.resume("mail")
    assert scene.names_of(await scene.claim()) == ["mail"]
    assert audit(connection) == [
        ("local:tester", "pause", "mail", "mail server is being moved"),
        ("local:tester", "resume", "mail", None),
    ]


async def test_an_unknown_subscription_cannot_be_paused_and_the_near_one_is_named(
    scene: Scene, operations: Operations
) -> None:
    await scene.subscribe("emails:send")
    with pytest.raises(NotFound, match="Did you mean emails:send"):
        operations.pause("email:send")


async def test_cancelling_the_scheduled_head_of_a_chain_leaves_the_rest_for_its_time(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    for place in range(3):
        await scene.subscribe(f"s{place}", mode="serial", order=place)
    (stored,) = await scene.store.emit_many([Said("departed", "{}", delay=3600.0)])
    operations.cancel([DeliveryRef(stored.message_id, "s0")], reason="nobody will mend it")
    assert states(connection) == {"s0": "cancelled", "s1": "scheduled", "s2": "blocked"}
    assert await scene.claim() == []
