"""Concurrency and rate, over all workers together."""

from __future__ import annotations

import asyncio
import itertools
import random

from buslog import Rate, db
from buslog.execution import Outcome
from buslog.message import State
from buslog.store import Lease, Said, Settlement, Store

from .conftest import Scene


async def limited(scene: Scene, messages: int, **options: object) -> tuple[int, int]:
    """A limited subscription with that many messages waiting, and two workers."""
    await scene.subscribe("mail", **options)  # type: ignore[arg-type]
    await scene.store.emit_many([Said("departed", "{}")] * messages)
    return scene.worker, await scene.enter()


def set_clock_back(connection: db.Connection, seconds: float) -> None:
    """As if the last start had been so long ago."""
    connection.execute("UPDATE buslog.flow SET refilled_at = refilled_at - make_interval(secs => %s)", [seconds])


# ── concurrency ─────────────────────────────────────────────────────────────────


async def test_two_workers_together_run_no_more_than_the_limit(scene: Scene) -> None:
    one, other = await limited(scene, 10, concurrency=3)
    first = await scene.claim(2, one)
    second = await scene.claim(10, other)
    assert (len(first), len(second)) == (2, 1)
    assert await scene.claim(10, one) == []
    await scene.settle(first[0], State.RETRYING, delay=60)
    await scene.settle(first[1], State.PENDING)
    assert len(await scene.claim(10, one)) == 2


async def test_what_a_dead_worker_ran_counts_until_it_is_rescued(scene: Scene, connection: db.Connection) -> None:
    one, other = await limited(scene, 10, concurrency=3)
    assert len(await scene.claim(10, one)) == 3
    connection.execute("UPDATE buslog.workers SET lease = 0, lease_until = clock_timestamp() WHERE id = %s", [one])
    assert await scene.claim(10, other) == [], "its subscribers may still be running"
    await scene.lose(connection, one)
    assert len(await scene.claim(10, other)) == 3
    assert await scene.claim(10, other) == []


async def test_a_cancelled_one_makes_room(scene: Scene, connection: db.Connection) -> None:
    one, other = await limited(scene, 3, concurrency=1)
    (running,) = await scene.claim(10, one)
    connection.execute(
        "SELECT buslog.cancel(ARRAY[%s::uuid], ARRAY[%s::integer])", [running.message_id, running.subscription_id]
    )
    assert len(await scene.claim(10, other)) == 1


async def test_a_limited_subscription_does_not_take_the_places_of_the_others(scene: Scene) -> None:
    await limited(scene, 5, concurrency=1)
    await scene.subscribe("task")
    await scene.store.emit_many([Said("departed", "{}")] * 5)
    names = scene.names_of(await scene.claim(100))
    assert (names.count("mail"), names.count("task")) == (1, 5)


async def test_a_message_of_a_limited_subscription_is_never_born_leased(scene: Scene) -> None:
    for option in ({"concurrency": 3}, {"rate": Rate(3)}):
        number = await scene.subscribe("mail", **option)
        (stored,) = await scene.store.emit_many([Said("departed", "{}")], Lease(scene.worker, [number], places=5))
        assert not stored.leased


async def test_a_limit_that_is_lifted_or_changed_holds_from_the_registration_on(scene: Scene) -> None:
    await limited(scene, 10, concurrency=1)
    assert len(await scene.claim()) == 1
    await scene.subscribe("mail", concurrency=3)
    assert len(await scene.claim()) == 2
    await scene.subscribe("mail")
    assert len(await scene.claim()) == 7


async def test_workers_that_claim_and_settle_at_once_never_run_more_than_the_limit(scene: Scene, dsn: str) -> None:
    await limited(scene, 300, concurrency=7)
    number = scene.numbers["mail"]
    chance = random.Random(7)
    running = most = done = 0

    async def work() -> None:
        nonlocal running, most, done
        store = Store(dsn)
        await store.open()
        worker = await store.enter("host:1", "", [number], 60)
        while done < 300:
            claims = await store.claim(worker, [number], 5)
            running += len(claims)
            most = max(most, running)
            await asyncio.sleep(chance.uniform(0, 0.002))
            running -= len(claims)
            settled = [Settlement(c.message_id, number, c.fence, Outcome(State.SUCCEEDED)) for c in claims]
            accepted = await store.settle(settled, "host:1", "")
            done += len(accepted)
        await store.close()

    async with asyncio.timeout(30):
        await asyncio.gather(*(work() for _ in range(4)))
    assert most == 7


# ── rate ────────────────────────────────────────────────────────────────────────


async def test_two_workers_together_start_no_more_than_the_rate(scene: Scene, connection: db.Connection) -> None:
    one, other = await limited(scene, 100, rate=Rate(10, per=600))
    assert len(await scene.claim(4, one)) == 4
    assert len(await scene.claim(100, other)) == 6
    assert await scene.claim(100, one) == []
    set_clock_back(connection, 121)
    assert len(await scene.claim(100, one)) == 2, "a fifth of the period, a fifth of the starts"
    assert await scene.claim(100, other) == []


async def test_starts_that_nobody_used_keep_for_one_period(scene: Scene, connection: db.Connection) -> None:
    await limited(scene, 100, rate=Rate(10, per=600))
    assert len(await scene.claim(1)) == 1
    set_clock_back(connection, 86_400)
    assert len(await scene.claim(100)) == 10


async def test_a_part_of_a_start_is_not_lost_between_two_looks(scene: Scene, connection: db.Connection) -> None:
    await limited(scene, 100, rate=Rate(10, per=600))
    assert len(await scene.claim(100)) == 10
    started = 0
    for _ in range(40):
        set_clock_back(connection, 40)  # two thirds of what one start takes
        started += len(await scene.claim(100))
    assert started in {26, 27}


async def test_every_attempt_counts_not_every_delivery(scene: Scene) -> None:
    await limited(scene, 1, rate=Rate(2, per=600))
    for _ in range(2):
        (claimed,) = await scene.claim()
        await scene.settle(claimed, State.RETRYING, delay=0)
        await scene.store.promote_due(10)
    assert await scene.claim() == []


async def test_concurrency_and_rate_hold_together(scene: Scene, connection: db.Connection) -> None:
    await limited(scene, 100, rate=Rate(5, per=600), concurrency=3)
    first = await scene.claim(100)
    assert len(first) == 3
    for claimed in first:
        await scene.settle(claimed)
    assert len(await scene.claim(100)) == 2


async def test_in_a_window_of_time_two_workers_at_once_start_what_the_rate_allows(scene: Scene, dsn: str) -> None:
    await limited(scene, 400, rate=Rate(20, per=0.2))
    number = scene.numbers["mail"]
    loop = asyncio.get_running_loop()
    looks: list[float] = []

    async def work() -> None:
        store = Store(dsn)
        await store.open()
        worker = await store.enter("host:1", "", [number], 60)
        while loop.time() < begun + 1.0:
            await store.claim(worker, [number], 50)
            looks.append(loop.time())
            await asyncio.sleep(0.005)
        await store.close()

    begun = loop.time()
    await asyncio.gather(work(), work())
    with db.connect(dsn) as connection:  # by the database's clock, which the rate is kept by
        rows = connection.execute(
            "SELECT extract(epoch FROM started_at)::float8 FROM buslog.deliveries WHERE state = 'running' ORDER BY 1"
        ).fetchall()
    starts = [row[0] for row in rows]
    assert len(starts) <= 20 + 100 * (starts[-1] - starts[0]) + 1, "a full period's at first, then a hundred a second"
    assert all(len([s for s in starts if at <= s < at + 0.2]) <= 42 for at in starts)
    unused = sum(max(0.0, later - earlier - 0.2) for earlier, later in itertools.pairwise(sorted(looks)))
    assert len(starts) >= 80 - 100 * unused, "what nobody asked for within a period is lost"
