"""Order by key: one delivery of a key at a time, in the order in which the messages became visible."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from buslog import RetryPolicy, db
from buslog.errors import OperationRefused
from buslog.execution import Claimed, Outcome
from buslog.message import DeliveryRef, State
from buslog.operations import Operations
from buslog.store import Lease, Said, Settlement, Store, settle_values

from .conftest import Scene, states_of

SUCCEEDED = Outcome(State.SUCCEEDED)
UNFINISHED = "SELECT count(*) FROM buslog.log WHERE state NOT IN ('succeeded', 'cancelled')"


async def ordered(scene: Scene, *keys: str, **options: Any) -> list[UUID]:
    """A subscription ordered by key, and a message of each key given."""
    await scene.subscribe("mail", ordered_by_key=True, **options)
    return [await scene.emit(key=key) for key in keys]


def messages(claims: list[Claimed]) -> list[UUID]:
    return [claimed.message_id for claimed in claims]


async def test_one_of_a_key_runs_at_a_time_and_other_keys_do_not_wait_for_it(scene: Scene) -> None:
    a1, a2, b1, a3 = await ordered(scene, "a", "a", "b", "a")
    first = await scene.claim()
    assert messages(first) == [a1, b1]
    assert await scene.claim() == []
    await scene.settle(first[0])
    (second,) = await scene.claim()
    assert second.message_id == a2
    await scene.settle(second)
    assert messages(await scene.claim()) == [a3]


async def test_a_message_is_never_born_leased_to_its_emitter(scene: Scene) -> None:
    number = await scene.subscribe("mail", ordered_by_key=True)
    lease = Lease(scene.worker, [number], places=5)
    keyed, free = await scene.store.emit_many([Said("departed", "{}", key="a"), Said("departed", "{}")], lease)
    assert (list(keyed.leased), list(free.leased)) == ([], [number])


async def test_messages_without_a_key_are_in_no_order(scene: Scene) -> None:
    await scene.subscribe("mail", ordered_by_key=True)
    for _ in range(3):
        await scene.emit(payload={"note": "about nothing"})
    assert len(await scene.claim()) == 3


async def test_two_subscriptions_of_a_key_do_not_wait_for_each_other(scene: Scene) -> None:
    await scene.subscribe("mail", ordered_by_key=True)
    await scene.subscribe("task", ordered_by_key=True)
    await scene.emit(key="a")
    await scene.emit(key="a")
    assert sorted(scene.names_of(await scene.claim())) == ["mail", "task"]


@pytest.mark.parametrize("setback", ["retry", "release", "crash", "retry, run now"])
async def test_a_setback_of_the_first_does_not_let_the_others_past(
    scene: Scene, operations: Operations, connection: db.Connection, setback: str
) -> None:
    ids = await ordered(scene, "a", "a", "a", retry=RetryPolicy(max_attempts=3, first_delay=0))
    (head,) = await scene.claim()
    if setback == "release":
        await scene.settle(head, State.PENDING)
    elif setback == "crash":
        await scene.lose(connection)
    else:
        await scene.settle(head, State.RETRYING, delay=3600 if "run now" in setback else 0)
        assert await scene.claim() == []
    if "run now" in setback:
        operations.run_now([scene.ref(ids[0])])
    else:
        await scene.store.promote_due(10)
    assert await scene.run_all() == ids


async def test_a_cancelled_one_lets_the_next_go_on(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    a1, a2, a3, a4 = await ordered(scene, "a", "a", "a", "a")
    (head,) = await scene.claim()
    operations.cancel([scene.ref(a1), scene.ref(a2)])
    assert not await scene.settle(head)
    (third,) = await scene.claim()
    assert third.message_id == a3
    await scene.settle(third, State.RETRYING, delay=3600)
    operations.cancel([scene.ref(a3)])
    assert messages(await scene.claim()) == [a4]
    assert states_of(connection, a1, a2, a3) == ["cancelled"] * 3


async def test_a_failed_one_holds_its_key_until_it_is_replayed_and_is_ahead_of_the_newer_then(
    scene: Scene, operations: Operations, connection: db.Connection
) -> None:
    a1, a2, b1, a3 = await ordered(scene, "a", "a", "b", "a")
    first, _ = await scene.claim()
    await scene.settle(first, State.FAILED)
    a4 = await scene.emit(key="a")
    assert await scene.claim() == []
    assert states_of(connection, a1, a2, a3, a4, b1) == ["failed", "blocked", "blocked", "blocked", "running"]
    operations.replay([scene.ref(a1)], reason="again")
    assert await scene.run_all() == [a1, a2, a3, a4]


async def test_a_failed_one_that_is_cancelled_lets_its_key_go_on(scene: Scene, operations: Operations) -> None:
    a1, a2 = await ordered(scene, "a", "a")
    await scene.settle((await scene.claim())[0], State.FAILED)
    assert await scene.claim() == []
    operations.cancel([scene.ref(a1)], reason="nobody will mend it")
    assert messages(await scene.claim()) == [a2]


async def test_what_fails_is_skipped_where_the_subscription_says_so(scene: Scene) -> None:
    _, a2, a3 = await ordered(scene, "a", "a", "a", on_failure="skip")
    await scene.settle((await scene.claim())[0], State.FAILED)
    assert await scene.run_all() == [a2, a3]


async def test_an_older_one_that_is_replayed_waits_for_what_runs_and_is_ahead_of_what_waits(
    scene: Scene, operations: Operations
) -> None:
    a1, a2, a3 = await ordered(scene, "a", "a", "a", on_failure="skip")
    await scene.settle((await scene.claim())[0], State.FAILED)
    (second,) = await scene.claim()
    operations.replay([scene.ref(a1)], reason="again")
    assert await scene.claim() == [], "the second still runs"
    await scene.settle(second)
    assert await scene.run_all() == [a1, a3]
    assert second.message_id == a2


@pytest.mark.parametrize("rest", ["cancel of another", "nothing"])
async def test_what_is_replayed_has_its_place_at_once_whatever_happens_to_its_key_before_a_worker_looks(
    scene: Scene, operations: Operations, rest: str
) -> None:
    a1, a2, a3 = await ordered(scene, "a", "a", "a")
    await scene.settle((await scene.claim())[0], State.FAILED)
    operations.replay([scene.ref(a1)], reason="again")
    if rest == "cancel of another":
        operations.cancel([scene.ref(a3)])
    assert await scene.run_all() == ([a1, a2] if rest == "cancel of another" else [a1, a2, a3])


async def test_a_later_failure_does_not_hold_an_earlier_one(scene: Scene, operations: Operations) -> None:
    a1, a2, a3 = await ordered(scene, "a", "a", "a")
    await scene.settle((await scene.claim())[0])
    await scene.settle((await scene.claim())[0], State.FAILED)
    operations.replay([scene.ref(a1)], reason="again")
    assert await scene.run_all() == [a1], "and a3 waits behind a2, which has failed"
    operations.replay([scene.ref(a2)], reason="again")
    assert await scene.run_all() == [a2, a3]


async def test_a_whole_key_that_is_replayed_runs_in_its_order_again(scene: Scene, operations: Operations) -> None:
    ids = await ordered(scene, "a", "a", "a")
    assert await scene.run_all() == ids
    operations.replay([scene.ref(ids[2]), scene.ref(ids[0]), scene.ref(ids[1])], reason="again")
    assert await scene.run_all() == ids


@pytest.mark.parametrize("how", ["due", "run now"])
async def test_a_scheduled_one_waits_for_its_time_and_then_for_its_turn(
    scene: Scene, operations: Operations, connection: db.Connection, how: str
) -> None:
    await scene.subscribe("mail", ordered_by_key=True)
    later = await scene.emit(key="a", delay=3600)
    a2, a3 = await scene.emit(key="a"), await scene.emit(key="a")
    (running,) = await scene.claim()
    assert running.message_id == a2, "what is not due holds nobody up"
    if how == "due":
        connection.execute("UPDATE buslog.deliveries SET due_at = clock_timestamp() WHERE state = 'scheduled'")
        await scene.store.promote_due(10)
    else:
        operations.run_now([scene.ref(later)])
    assert await scene.claim() == [], "one of its key runs"
    assert states_of(connection, later) == ["blocked"]
    await scene.settle(running)
    assert await scene.run_all() == [later, a3]


async def test_a_policy_that_turns_from_block_to_skip_frees_what_waits(scene: Scene) -> None:
    _, a2, a3 = await ordered(scene, "a", "a", "a")
    await scene.settle((await scene.claim())[0], State.FAILED)
    assert await scene.claim() == []
    await scene.subscribe("mail", ordered_by_key=True, on_failure="skip")
    assert await scene.run_all() == [a2, a3]


async def test_what_arrives_while_the_policy_turns_to_skip_is_not_forgotten(
    scene: Scene, connection: db.Connection
) -> None:
    (_,) = await ordered(scene, "a")
    await scene.settle((await scene.claim())[0], State.FAILED)
    a2 = await scene.emit(key="a")
    with connection.transaction():
        connection.execute(
            "SELECT buslog.register('mail', '{departed}', 'event', %s, NULL, '', '')",
            ['{"ordered_by_key": true, "skips_failed": true}'],
        )
        assert await scene.claim() == [], "not committed yet"
    assert messages(await scene.claim()) == [a2]


@pytest.mark.parametrize("end", ["settle", "cancel"])
async def test_what_arrives_while_the_one_before_it_ends_is_not_forgotten(
    scene: Scene, connection: db.Connection, end: str
) -> None:
    await ordered(scene, "a")
    (head,) = await scene.claim()
    with connection.transaction():
        if end == "settle":
            done = Settlement(head.message_id, head.subscription_id, head.fence, SUCCEEDED)
            connection.execute(db.query("settle"), settle_values([done], "host:1", ""))
        else:
            connection.execute(db.query("cancel"), ([head.message_id], [head.subscription_id]))
        a2 = await scene.emit(key="a")
        assert await scene.claim() == [], "not committed yet"
    assert messages(await scene.claim()) == [a2]


async def test_a_policy_that_turns_from_skip_to_block_holds_what_comes_next(scene: Scene) -> None:
    _, a2, _ = await ordered(scene, "a", "a", "a", on_failure="skip")
    await scene.settle((await scene.claim())[0], State.FAILED)
    await scene.subscribe("mail", ordered_by_key=True)
    assert await scene.run_all() == [a2], "it had its turn already"


async def test_without_the_option_what_waits_keeps_its_order_and_what_is_new_has_none(scene: Scene) -> None:
    a1, a2, a3 = await ordered(scene, "a", "a", "a")
    (head,) = await scene.claim()
    a4 = await scene.emit(key="a")
    await scene.subscribe("mail")
    new = [await scene.emit(key="a"), await scene.emit(key="a")]
    at_once = await scene.claim()
    assert messages(at_once) == new
    for claimed in [*at_once, head]:
        await scene.settle(claimed)
    assert await scene.run_all() == [a2, a3, a4]
    assert head.message_id == a1


async def test_a_paused_subscription_sends_nobody_and_keeps_the_order(scene: Scene, operations: Operations) -> None:
    ids = await ordered(scene, "a", "a")
    operations.pause("mail")
    assert await scene.claim() == []
    operations.resume("mail")
    assert await scene.run_all() == ids


async def test_thousands_that_arrive_at_once_all_get_their_places(scene: Scene) -> None:
    await scene.subscribe("mail", ordered_by_key=True)
    said = [Said("departed", "{}", key=f"k{n % 500}") for n in range(2500)]
    stored = [s.message_id for batch in range(5) for s in await scene.store.emit_many(said[batch * 500 :][:500])]
    ran: dict[str, list[UUID]] = {}
    while claims := await scene.claim(1000):
        for claimed in claims:
            ran.setdefault(claimed.key or "", []).append(claimed.message_id)
        done = [Settlement(c.message_id, c.subscription_id, c.fence, SUCCEEDED) for c in claims]
        await scene.store.settle(done, "host:1", "")
    assert ran == {f"k{n}": stored[n::500] for n in range(500)}


# ── many at once ────────────────────────────────────────────────────────────────


class Crowd:
    """Emitters, workers and a person at once, over the keys of one subscription; notes what overlaps or overtakes."""

    def __init__(self, dsn: str, scene: Scene, seed: int) -> None:
        self.dsn = dsn
        self.scene = scene
        self.chance = random.Random(seed)
        self.number = next(iter(scene.numbers.values()))
        self.running: Counter[str] = Counter()
        self.emitted: dict[tuple[int, str], list[UUID]] = {}  # by emitter and key, each acknowledged before the next
        self.first_starts: dict[UUID, int] = {}
        self.overlaps: list[str] = []
        self.emitting = 0
        self.is_over = False

    async def emit(self, who: int, messages: int, keys: int) -> None:
        self.emitting += 1
        store = Store(self.dsn)
        await store.open()
        while messages > 0:
            said = [Said("departed", "{}", key=f"k{self.chance.randrange(keys)}") for _ in range(min(messages, 8))]
            batch = said[: self.chance.randint(1, 8)]
            for one, stored in zip(batch, await store.emit_many(batch), strict=True):
                self.emitted.setdefault((who, one.key or ""), []).append(stored.message_id)
                messages -= 1
        await store.close()
        self.emitting -= 1

    async def work(self, failing: bool) -> None:
        store = Store(self.dsn)
        await store.open()
        worker = await store.enter("host:1", "", [self.number], 60)
        while not self.is_over:
            claims = await store.claim(worker, [self.number], 20)
            for claimed in claims:
                self.running[claimed.key or ""] += 1
                self.first_starts.setdefault(claimed.message_id, len(self.first_starts))
                if self.running[claimed.key or ""] > 1:
                    self.overlaps.append(claimed.key or "")
            await asyncio.sleep(self.chance.uniform(0, 0.004))
            for part in (claims[::2], claims[1::2]):
                for claimed in part:
                    self.running[claimed.key or ""] -= 1
                outcomes = [self.outcome(failing) for _ in part]
                settled = [
                    Settlement(c.message_id, c.subscription_id, c.fence, o) for c, o in zip(part, outcomes, strict=True)
                ]
                await store.settle(settled, "host:1", "")
            await store.promote_due(50)
        await store.close()

    def outcome(self, failing: bool) -> Outcome:
        chance = self.chance.random()
        if chance < 0.1:
            return Outcome(State.RETRYING, delay=0, error_type="ValueError", error="broken")
        if chance < 0.15:
            return Outcome(State.PENDING)
        if failing and chance < 0.25:
            return Outcome(State.FAILED, error_type="ValueError", error="broken")
        return SUCCEEDED

    async def watch(self, meddle: Callable[[], Awaitable[None]] | None = None) -> None:
        """Until nothing is open and nothing has failed; with somebody who meddles meanwhile."""
        with db.connect(self.dsn) as own:
            while self.emitting or own.execute(UNFINISHED).fetchone() != (0,):
                await (meddle() if meddle else asyncio.sleep(0.05))
        self.is_over = True

    def overtaken(self) -> list[tuple[int, str]]:
        """Emitters and keys whose messages did not start in the order in which they were acknowledged."""
        return [
            which
            for which, ids in self.emitted.items()
            if (starts := [self.first_starts[i] for i in ids if i in self.first_starts]) != sorted(starts)
        ]


def deadlocks(connection: db.Connection) -> int:
    row = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


async def test_four_emitters_and_two_workers_at_once_overlap_nothing_overtake_nothing_and_leave_nothing(
    scene: Scene, dsn: str, connection: db.Connection
) -> None:
    await scene.subscribe("mail", ordered_by_key=True)
    crowd = Crowd(dsn, scene, seed=20112)
    async with asyncio.timeout(60):
        await asyncio.gather(
            *(crowd.emit(who, 500, keys=50) for who in range(4)), crowd.work(False), crowd.work(False), crowd.watch()
        )
    assert (crowd.overlaps, crowd.overtaken(), deadlocks(connection)) == ([], [], 0)
    assert len(crowd.first_starts) == sum(map(len, crowd.emitted.values())) >= 2000


async def test_failures_replays_cancels_and_new_registrations_in_between_leave_nothing_stuck(
    scene: Scene, dsn: str, operations: Operations, connection: db.Connection
) -> None:
    """What the workers raise would end the test: a deadlock, or a second open delivery of a key."""
    await scene.subscribe("mail", ordered_by_key=True)
    crowd = Crowd(dsn, scene, seed=20113)

    def meddle() -> None:
        with db.connect(dsn) as own:
            failed = own.execute("SELECT message_id FROM buslog.log WHERE state = 'failed' LIMIT 50").fetchall()
            waiting = own.execute(
                "SELECT message_id FROM buslog.log WHERE state IN ('blocked', 'running', 'retrying') LIMIT 200"
            ).fetchall()
        verb = crowd.chance.choice([operations.replay, operations.replay, operations.cancel, operations.run_now])
        rows = crowd.chance.sample(failed + waiting, min(8, len(failed + waiting)))
        with suppress(OperationRefused):
            verb([DeliveryRef(row[0], "mail") for row in rows], reason="again")

    async def person() -> None:
        await asyncio.to_thread(meddle)
        policy, limit = crowd.chance.choice(["block", "skip"]), crowd.chance.choice([None, 9])
        await scene.subscribe("mail", ordered_by_key=True, on_failure=policy, concurrency=limit)
        await asyncio.sleep(0.01)

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(crowd.emit(who, 250, keys=25) for who in range(4)),
            crowd.work(True),
            crowd.work(True),
            crowd.watch(person),
        )
    assert (crowd.overtaken(), deadlocks(connection)) == ([], 0)
    ended = connection.execute("SELECT count(*) FROM buslog.ended_deliveries WHERE latest").fetchone()
    assert ended == (sum(map(len, crowd.emitted.values())),)
