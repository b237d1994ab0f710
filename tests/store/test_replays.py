"""Stored runs: what is frozen, what is skipped and why, and each step a worker takes."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from buslog import Bus, db
from buslog.desk import Actor
from buslog.errors import InvalidFilter, InvalidSubscription, NotFound, OperationRefused
from buslog.filter import Filter, Range
from buslog.insights import Count
from buslog.message import State
from buslog.operations import Operations
from buslog.replays import MOST, ItemState, Replays, Run, RunState, Verb
from buslog.store import Said

from .conftest import Scene

FAILED = Filter(states=(State.FAILED,))


@pytest.fixture
def replays(dsn: str) -> Replays:
    return Replays(dsn, Actor("local:tester", "cli"))


async def fail(scene: Scene, number: int, *, key: str | None = None) -> list[UUID]:
    """So many failed deliveries of `mail`."""
    if "mail" not in scene.numbers:
        await scene.subscribe("mail")
    messages = [await scene.emit(key=key or f"S-{place}") for place in range(number)]
    await settle_all(scene, State.FAILED)
    return messages


async def settle_all(scene: Scene, state: State = State.SUCCEEDED) -> int:
    settled = 0
    while claims := await scene.claim(100):
        for claimed in claims:
            settled += await scene.settle(claimed, state, delay=3600 if state is State.RETRYING else None)
    return settled


async def carry_on(scene: Scene, connection: db.Connection, steps: int = 1, places: int = 1000) -> None:
    """Steps of the runs there are, each as if its time had come."""
    for _ in range(steps):
        connection.execute("UPDATE buslog.replays SET next_at = clock_timestamp() WHERE next_at IS NOT NULL")
        await scene.store.carry_on(places)


async def steps_until(scene: Scene, connection: db.Connection, replays: Replays, run: int, state: RunState) -> Run:
    for _ in range(20):
        found = replays.run(run)
        if found.state is state:
            return found
        await carry_on(scene, connection)
    raise AssertionError(f"still {found}")


def item_states(replays: Replays, run: int) -> Counter[str]:
    """As the items say; the run's own numbers must say the same."""
    found = replays.run(run)
    counted = Counter(str(item.state) for item in replays.items(run, places=MOST))
    told = {"waiting": found.waiting, "sent": found.sent, "succeeded": found.succeeded,
            "failed again": found.failed_again, "cancelled": found.cancelled, "skipped": found.skipped}  # fmt: skip
    assert counted == Counter({state: number for state, number in told.items() if number})
    return counted


def audited(connection: db.Connection) -> Counter[str]:
    return Counter(row[0] for row in connection.execute("SELECT verb FROM buslog.operations").fetchall())


# ── preview ─────────────────────────────────────────────────────────────────────


async def test_a_preview_counts_what_it_would_send_and_what_it_skips_and_why(scene: Scene, replays: Replays) -> None:
    await scene.subscribe("mail")
    await scene.subscribe("invoice", unsafe_to_replay="sends money")
    for _ in range(3):
        await scene.emit()
    await settle_all(scene, State.FAILED)
    await scene.emit()
    await settle_all(scene)
    await scene.emit()
    before = datetime.now(UTC)
    found = replays.preview(Filter())
    assert (found.eligible, found.superseded, found.is_capped) == (3, 3, False)
    assert {reason: str(count) for reason, count in found.skipped.items()} == {
        "unsafe to replay: sends money": "3", "already succeeded": "2", "in flight": "2",
    }  # fmt: skip
    assert found.oldest is not None
    assert found.cutoff is not None
    assert found.oldest < found.cutoff < before
    assert await scene.claim(100) != [], "only looked at: what was ready is"
    assert len([claim for claim in await scene.claim(100) if claim.generation > 1]) == 0


async def test_what_no_live_worker_hosts_is_skipped_but_for_a_cancel(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await fail(scene, 2)
    connection.execute("DELETE FROM buslog.workers")
    found = replays.preview(FAILED)
    assert (found.eligible, {k: v.value for k, v in found.skipped.items()}) == (0, {"no live worker hosts it": 2})
    with pytest.raises(OperationRefused, match="has a delivery to send"):
        replays.start(found.run)
    assert replays.preview(FAILED, Verb.CANCEL).eligible == 2


async def test_only_a_later_success_of_the_same_name_key_and_subscription_supersedes(
    scene: Scene, replays: Replays
) -> None:
    await scene.subscribe("mail", ["departed", "arrived"])
    old, other_name, other_subscription = [await fail(scene, 1, key=f"S-{place}") for place in range(3)]
    await scene.emit("departed", key="S-0")
    await scene.emit("arrived", key="S-1")
    await settle_all(scene)
    new = await fail(scene, 1, key="S-0")
    task = await scene.subscribe("task")
    newest = await scene.emit("departed", key="S-2")
    for claimed in await scene.claim():
        await scene.settle(claimed, State.SUCCEEDED if claimed.subscription_id == task else State.FAILED)
    found = replays.preview(FAILED)
    marked = {item.message_id: item.superseded for item in replays.items(found.run)}
    not_marked = dict.fromkeys([new[0], other_name[0], other_subscription[0], newest], False)
    assert marked == {old[0]: True, **not_marked}
    assert found.superseded == 1


async def test_what_supersedes_is_left_open_where_it_takes_too_long_to_find_out(
    scene: Scene, replays: Replays, connection: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail(scene, 2)
    connection.execute("CREATE OR REPLACE FUNCTION buslog.mark_superseded(run bigint) RETURNS integer"
                       " LANGUAGE sql AS 'SELECT pg_sleep(30); SELECT 0'")  # fmt: skip
    monkeypatch.setattr(db, "LOOK_MS", 100)
    found = replays.preview(FAILED)
    assert (found.eligible, found.superseded) == (2, None)
    assert replays.start(found.run).state is RunState.WAITING


async def test_what_was_cancelled_is_replayed_only_where_the_filter_asks_for_it(
    scene: Scene, replays: Replays, operations: Operations
) -> None:
    messages = await fail(scene, 2)
    operations.cancel([scene.ref(messages[0])], reason="nobody will mend it")
    assert replays.preview(Filter()).eligible == 1
    assert replays.preview(Filter(states=(State.FAILED, State.CANCELLED))).eligible == 2


async def test_a_filter_of_states_that_the_verb_does_nothing_to_is_refused(replays: Replays) -> None:
    with pytest.raises(InvalidFilter, match="run now does something to"):
        replays.preview(FAILED, Verb.RUN_NOW)


async def test_a_set_larger_than_a_run_takes_is_capped_and_says_so(
    scene: Scene, replays: Replays, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = await fail(scene, 4)
    monkeypatch.setattr("buslog.replays.MOST", 3)
    found = replays.preview(FAILED)
    assert (found.eligible, found.is_capped) == (3, True)
    assert {item.message_id for item in replays.items(found.run)} == set(sorted(messages)[:3])


async def test_the_set_is_frozen_and_its_filter_keeps_the_moments_it_was_asked_for(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await fail(scene, 2)
    now = datetime.now(UTC)
    found = replays.preview(Filter(states=(State.FAILED,), range=Range.HOUR), now=now)
    late = await fail(scene, 2)
    replays.start(found.run, canary=0, undo=0)
    await carry_on(scene, connection)
    assert {claim.message_id for claim in await scene.claim()} & set(late) == set()
    assert replays.run(found.run).filter == FAILED.between(now - timedelta(hours=1), None)


async def test_a_preview_that_nobody_starts_is_forgotten(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await fail(scene, 1)
    old, new, started = (replays.preview(FAILED) for _ in range(3))
    replays.start(started.run)
    connection.execute("UPDATE buslog.replays SET previewed_at = now() - interval '2 h' WHERE id <> %s", [new.run])
    await scene.store.upkeep()
    with pytest.raises(NotFound, match="preview it anew"):
        replays.start(old.run)
    kept = connection.execute("SELECT DISTINCT replay_id FROM buslog.replay_items ORDER BY 1").fetchall()
    assert kept == [(new.run,), (started.run,)], "its items are forgotten as well"
    assert replays.run(new.run).state is RunState.PREVIEWED
    assert replays.run(started.run).state is RunState.WAITING


def test_a_reason_not_to_replay_is_a_printable_text() -> None:
    with pytest.raises(InvalidSubscription, match="unsafe_to_replay"):
        Bus().on("departed", lambda _: None, id="mail", unsafe_to_replay="")


# ── start, carry on, stop ───────────────────────────────────────────────────────


async def test_a_run_waits_out_the_undo_tries_the_canary_and_goes_on_when_it_succeeded(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await fail(scene, 6)
    run = replays.start(replays.preview(FAILED).run, reason="carrier is back", canary=2, undo=30).id
    await scene.store.carry_on(1000)
    assert item_states(replays, run) == {"waiting": 6}, "the time to undo it is not over"
    await carry_on(scene, connection)
    assert replays.run(run).state is RunState.CANARY
    assert item_states(replays, run) == {"sent": 2, "waiting": 4}
    await carry_on(scene, connection, steps=3)
    assert item_states(replays, run) == {"sent": 2, "waiting": 4}, "it has not settled"
    assert await settle_all(scene) == 2
    await carry_on(scene, connection, steps=2)
    assert item_states(replays, run) == {"succeeded": 2, "sent": 4}
    await settle_all(scene)
    found = await steps_until(scene, connection, replays, run, RunState.ENDED)
    assert item_states(replays, run) == {"succeeded": 6}
    assert (found.actor, found.reason) == ("local:tester", "carrier is back")
    assert found.ended_at is not None
    assert audited(connection) == {"replay many": 1, "replay": 6}
    row = connection.execute("SELECT actor, reason, outcome FROM buslog.operations WHERE verb = 'replay'").fetchone()
    assert row == ("local:tester", "carrier is back", {"from": "failed", "run": run})
    assert (await scene.store.carry_on(1000)).next_in is None, "nothing is left to do"


async def test_steps_that_end_between_the_deliveries_of_one_message_leave_none_of_them_out(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    await scene.subscribe("invoice")
    await scene.subscribe("task")
    for _ in range(2):
        await scene.emit()
    await settle_all(scene, State.FAILED)
    run = replays.start(replays.preview(FAILED).run, canary=1, undo=0).id
    await carry_on(scene, connection)
    await settle_all(scene)
    await carry_on(scene, connection, steps=3, places=2)
    assert item_states(replays, run) == {"succeeded": 1, "sent": 5}
    assert len(await scene.claim(10)) == 5


async def test_a_canary_that_fails_stops_the_run(scene: Scene, replays: Replays, connection: db.Connection) -> None:
    await fail(scene, 6)
    run = replays.start(replays.preview(FAILED).run, canary=3, undo=0).id
    await carry_on(scene, connection)
    first, *others = await scene.claim()
    await scene.settle(first, State.FAILED)
    await carry_on(scene, connection, steps=3)
    found = replays.run(run)
    assert (found.state, found.stopped_why) == (RunState.STOPPED, "not all of the first 3 succeeded")
    assert item_states(replays, run) == {"failed again": 1, "sent": 2, "waiting": 3}
    for claimed in others:
        await scene.settle(claimed)
    await carry_on(scene, connection, steps=2)
    assert item_states(replays, run) == {"failed again": 1, "succeeded": 2, "waiting": 3}, "what was sent is followed"
    assert (await scene.store.carry_on(1000)).next_in is None


async def test_a_canary_is_filled_up_when_some_of_it_had_moved_on(
    scene: Scene, replays: Replays, connection: db.Connection, operations: Operations
) -> None:
    messages = sorted(await fail(scene, 5))
    run = replays.start(replays.preview(FAILED).run, canary=2, undo=0).id
    operations.replay([scene.ref(message) for message in messages[:2]])
    await carry_on(scene, connection, steps=2)
    assert item_states(replays, run) == {"skipped": 2, "sent": 2, "waiting": 1}
    assert {i.reason for i in replays.items(run, state=ItemState.SKIPPED)} == {"in flight"}


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
async def test_a_run_can_be_stopped_at_each_point_and_sends_nothing_more(
    scene: Scene, replays: Replays, connection: db.Connection, steps: int
) -> None:
    """Waiting for its undo, at the canary, running, and all but done."""
    await fail(scene, 7)
    run = replays.start(replays.preview(FAILED).run, canary=1, undo=0).id
    for _ in range(steps):
        await settle_all(scene)
        await carry_on(scene, connection, places=2)
    stopped = replays.stop(run, reason="wrong filter")
    assert (stopped.state, stopped.stopped_why) == (RunState.STOPPED, "by local:tester")
    await carry_on(scene, connection, steps=3)
    await settle_all(scene)
    await carry_on(scene, connection)
    assert item_states(replays, run) == Counter(succeeded=7 - stopped.waiting, waiting=stopped.waiting)
    assert stopped.waiting > 0
    with pytest.raises(OperationRefused, match="is under way"):
        replays.stop(run)
    assert audited(connection)["stop"] == 1


async def test_a_second_click_starts_nothing(scene: Scene, replays: Replays, connection: db.Connection) -> None:
    await fail(scene, 3)
    found = replays.preview(FAILED)
    clicks = [asyncio.to_thread(replays.start, found.run, canary=0, undo=0) for _ in range(4)]
    assert {run.id for run in await asyncio.gather(*clicks)} == {found.run}
    await carry_on(scene, connection, steps=2)
    assert audited(connection) == {"replay many": 1, "replay": 3}


async def test_two_runs_of_the_same_set_at_the_same_moment_send_each_delivery_once(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await fail(scene, 40)
    runs = [replays.start(replays.preview(FAILED).run, canary=0, undo=0).id for _ in range(2)]
    for _ in range(8):
        connection.execute("UPDATE buslog.replays SET next_at = clock_timestamp() WHERE next_at IS NOT NULL")
        await asyncio.gather(*(scene.store.carry_on(7) for _ in range(2)))
    assert len(await scene.claim(100)) == 40
    states = [item_states(replays, run) for run in runs]
    assert sum(states, Counter()) == {"sent": 40, "skipped": 40}


async def test_a_delivery_that_was_sent_and_failed_again_meanwhile_is_not_sent_by_an_older_preview(
    scene: Scene, replays: Replays, connection: db.Connection, operations: Operations
) -> None:
    (message,) = await fail(scene, 1)
    run = replays.start(replays.preview(FAILED).run, canary=0, undo=0).id
    operations.replay([scene.ref(message)])
    await settle_all(scene, State.FAILED)
    await carry_on(scene, connection, steps=2)
    (item,) = replays.items(run)
    assert (item.state, item.reason) == (ItemState.SKIPPED, "failed meanwhile")
    assert replays.run(run).state is RunState.ENDED


async def test_what_is_sent_and_fails_again_while_a_step_looks_is_seen_by_it(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    (message,) = await fail(scene, 1)
    run = replays.start(replays.preview(FAILED).run, canary=0, undo=0).id
    with connection.transaction():  # all of it between the look and the move of a step that does not wait
        number = scene.numbers["mail"]
        connection.execute("SELECT buslog.replay(%s::uuid[], %s::integer[])", [[message], [number]])
        step = asyncio.create_task(scene.store.carry_on(1000))
        await asyncio.sleep(0.5)
        connection.execute("DELETE FROM buslog.deliveries")
        connection.execute(
            """INSERT INTO buslog.ended_deliveries
                   (message_id, subscription_id, generation, attempts, repeats, state, finished_at)
               VALUES (%s, %s, 2, 1, 0, 'failed', now())""",
            [message, number],
        )
    await step
    (item,) = replays.items(run)
    assert (item.state, item.reason) == (ItemState.SKIPPED, "failed meanwhile")
    assert await scene.claim() == []


async def test_what_failed_again_is_sent_once_more_by_a_run_of_its_own(
    scene: Scene, replays: Replays, connection: db.Connection, operations: Operations
) -> None:
    await fail(scene, 4)
    run = replays.start(replays.preview(FAILED).run, canary=0, undo=0).id
    await carry_on(scene, connection)
    claims = await scene.claim()
    for claimed in claims:
        await scene.settle(claimed, State.FAILED if claimed is not claims[0] else State.SUCCEEDED)
    await steps_until(scene, connection, replays, run, RunState.ENDED)
    assert item_states(replays, run) == {"succeeded": 1, "failed again": 3}
    operations.cancel([scene.ref(claims[1].message_id)], reason="nobody will mend it")
    again = replays.preview_failed(run)
    assert (again.eligible, replays.run(again.run).failed_of) == (2, run)
    replays.start(again.run, canary=0, undo=0)
    await carry_on(scene, connection)
    sent = await scene.claim()
    assert {claim.message_id for claim in sent} == {claim.message_id for claim in claims[2:]}
    assert {claim.generation for claim in sent} == {3}


async def test_what_a_stopped_run_did_not_send_is_sent_by_another_unless_it_has_moved_on(
    scene: Scene, replays: Replays, connection: db.Connection, operations: Operations
) -> None:
    messages = sorted(await fail(scene, 6))
    run = replays.start(replays.preview(FAILED).run, canary=1, undo=0).id
    await carry_on(scene, connection)
    with pytest.raises(OperationRefused):
        replays.preview_rest(run)
    replays.stop(run)
    operations.cancel([scene.ref(messages[2])], reason="nobody mends it")
    operations.replay([scene.ref(messages[3])])
    operations.replay([scene.ref(messages[4])])
    for claimed in await scene.claim():
        if claimed.message_id == messages[4]:
            await scene.settle(claimed)
    rest = replays.preview_rest(run)
    assert (rest.verb, rest.eligible, rest.skipped) == (Verb.REPLAY, 2, {"moved on": Count(3)})
    assert {item.message_id for item in replays.items(rest.run)} == {messages[1], messages[5]}
    started = replays.start(rest.run, canary=0, undo=0)
    assert (started.rest_of, started.failed_of) == (run, None)
    await carry_on(scene, connection, steps=3)
    assert {claim.message_id for claim in await scene.claim()} == {messages[1], messages[5]}


async def test_a_rate_is_kept_and_what_was_missed_is_not_made_up_for_in_a_burst(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    loop = asyncio.get_running_loop()
    await fail(scene, 60)
    found, began = replays.preview(FAILED).run, loop.time()
    run = replays.start(found, canary=0, undo=0, rate=10).id
    await scene.store.carry_on(1000)
    first = replays.run(run).sent
    assert first <= 1 + 10 * (loop.time() - began)
    began = loop.time()
    connection.execute("UPDATE buslog.replays SET paced_at = now() - interval '1 h', next_at = now()")
    await scene.store.carry_on(1000)
    assert 10 <= replays.run(run).sent - first <= 11 + 10 * (loop.time() - began)
    for _ in range(5):
        step = await scene.store.carry_on(1000)
        assert step.next_in is not None
        assert step.next_in <= 0.1
        await asyncio.sleep(step.next_in)
    assert replays.run(run).sent - first <= 12 + 12 * (loop.time() - began)


async def test_a_crash_in_the_middle_of_a_step_leaves_nothing_of_it(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await fail(scene, 3)
    run = replays.start(replays.preview(FAILED).run, canary=0, undo=0).id
    with connection.transaction(force_rollback=True):
        connection.execute("SELECT * FROM buslog.carry_on(1000)")
        assert (await scene.store.carry_on(1000)).run is None, "a run is one worker's at a time"
        assert connection.execute("SELECT sent FROM buslog.replays").fetchall() == [(3,)]
    assert item_states(replays, run) == {"waiting": 3}
    await carry_on(scene, connection)
    assert item_states(replays, run) == {"sent": 3}


@pytest.mark.parametrize(("verb", "waits"), [(Verb.REPLAY, "off"), (Verb.CANCEL, "on")])
async def test_only_a_step_that_a_claim_comes_after_does_not_wait_for_its_disk(
    scene: Scene, replays: Replays, connection: db.Connection, verb: Verb, waits: str
) -> None:
    await fail(scene, 1)
    replays.start(replays.preview(FAILED, verb).run, reason="nobody will mend it", canary=0, undo=0)
    with connection.transaction():
        connection.execute("SELECT * FROM buslog.carry_on(1000)")
        assert connection.execute("SHOW synchronous_commit").fetchone() == (waits,)


async def test_many_are_cancelled_with_a_reason_and_leave_the_failures(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await fail(scene, 3)
    await scene.emit()
    found = replays.preview(Filter(), Verb.CANCEL)
    with pytest.raises(OperationRefused, match="reason"):
        replays.start(found.run, undo=0)
    run = replays.start(found.run, reason="the customer has left", undo=0).id
    await carry_on(scene, connection)
    assert replays.run(run).state is RunState.ENDED, "no canary, and nothing to follow"
    assert item_states(replays, run) == {"cancelled": 4}
    states = connection.execute("SELECT DISTINCT state FROM buslog.log").fetchall()
    assert states == [("cancelled",)]
    assert audited(connection) == {"cancel many": 1, "cancel": 4}


async def test_what_retries_is_run_now_for_a_filter_and_charges_no_attempt(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    await scene.subscribe("mail")
    for _ in range(3):
        await scene.emit()
    await settle_all(scene, State.RETRYING)
    await scene.emit(delay=3600)
    run = replays.start(replays.preview(Filter(), Verb.RUN_NOW).run, undo=0).id
    await carry_on(scene, connection)
    claims = await scene.claim()
    assert Counter(claim.attempt for claim in claims) == {2: 3, 1: 1}
    for claimed in claims:
        await scene.settle(claimed)
    await steps_until(scene, connection, replays, run, RunState.ENDED)
    assert item_states(replays, run) == {"succeeded": 4}


@pytest.mark.parametrize("pace", [{"canary": -1}, {"undo": 1e9}, {"rate": 0.0}])
async def test_a_pace_out_of_range_is_refused(scene: Scene, replays: Replays, pace: dict[str, float]) -> None:
    await fail(scene, 1)
    with pytest.raises(OperationRefused, match=next(iter(pace))):
        replays.start(replays.preview(FAILED).run, **pace)  # type: ignore[arg-type]


async def test_a_preview_of_many_and_each_step_of_their_run_is_quick(
    scene: Scene, replays: Replays, connection: db.Connection
) -> None:
    """They look by their indexes: a thousand items sent among ten thousand took seconds when they did not."""
    await scene.subscribe("mail")
    for place in range(15):  # the keys of the first five thousand come again
        keys = (f"S-{(place % 10) * 1000 + n}" for n in range(1000))
        await scene.store.emit_many([Said("departed", "{}", key=key) for key in keys])
    connection.execute(
        """INSERT INTO buslog.ended_deliveries
               (message_id, subscription_id, generation, attempts, repeats, state, finished_at)
           SELECT message_id, subscription_id, 1, 1, 0,
                  CASE WHEN place <= 10000 THEN 'failed'::buslog.state ELSE 'succeeded' END, now()
           FROM (SELECT *, row_number() OVER (ORDER BY message_id) AS place FROM buslog.deliveries) AS d"""
    )
    connection.execute("DELETE FROM buslog.deliveries")
    loop = asyncio.get_running_loop()
    previews, steps = [], []  # the quickest counts: a busy machine makes some of them slow, and none quicker
    for _ in range(2):
        began = loop.time()
        found = replays.preview(FAILED)
        previews.append(loop.time() - began)
    assert (found.eligible, found.superseded) == (10_000, 5_000)
    assert min(previews) < 3
    run = replays.start(found.run, canary=0, undo=0).id
    for _ in range(10):
        began = loop.time()
        await scene.store.carry_on(1000)
        steps.append(loop.time() - began)
    assert statistics.median(steps) < 1
    assert replays.run(run).waiting == 0
