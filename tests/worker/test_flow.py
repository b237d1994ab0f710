"""Order, limits, outages and priority with whole buses at work, two where it matters. With a poll of a minute, what
happens before it is over was told to the worker; nothing was found by looking.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from buslog import Bus, Message, Outage, Rate, RetryPolicy, db
from buslog.config import Settings
from buslog.desk import Actor
from buslog.execution import Claimed
from buslog.message import DeliveryRef
from buslog.operations import Operations
from buslog.store import Store

from .conftest import log_rows, until

SELDOM = 60.0  # seconds between looks: more than anything here is waited for


@pytest.fixture
def make_bus(test_settings: Settings) -> Callable[..., Bus]:
    def make(**changes: object) -> Bus:
        return Bus(settings=test_settings.model_copy(update=changes))

    return make


def ended(connection: db.Connection, name: str = "departed") -> Counter[str]:
    return Counter(state for (state,) in log_rows(connection, "state", name))


async def test_what_is_ordered_by_key_starts_at_once_and_one_after_the_other(
    make_bus: Callable[..., Bus], connection: db.Connection
) -> None:
    bus, other = make_bus(poll=SELDOM), make_bus(poll=SELDOM)
    running: Counter[str | None] = Counter()
    ran: dict[str | None, list[int]] = {}
    overlaps: list[str | None] = []

    async def subscriber(message: Message) -> None:
        if running[message.key]:
            overlaps.append(message.key)
        running[message.key] += 1
        await asyncio.sleep(0.005)
        running[message.key] -= 1
        ran.setdefault(message.key, []).append(message.payload["n"])

    for one in (bus, other):
        one.on("departed", subscriber, id="mail", ordered_by_key=True)
    async with bus, other:
        await asyncio.sleep(0.2)
        for n in range(20):
            await (bus, other)[n // 2 % 2].emit("departed", {"n": n}, key=f"k{n % 2}")
        await until(lambda: sum(map(len, ran.values())) == 20)
    assert ran == {"k0": list(range(0, 20, 2)), "k1": list(range(1, 20, 2))}
    assert overlaps == []


async def test_claims_of_half_the_places_follow_one_another_until_all_are_taken(
    make_bus: Callable[..., Bus], connection: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, may_end = make_bus(poll=SELDOM, concurrency=5), asyncio.Event()
    asked: list[int] = []
    running = 0
    claim = Store.claim

    async def noted(self: Store, worker: int, hosts: list[int], places: int, floors: list[int] | None) -> list[Claimed]:
        asked.append(places)
        return await claim(self, worker, hosts, places, floors)

    async def subscriber(message: Message) -> None:
        nonlocal running
        running += 1
        await may_end.wait()

    bus.on("departed", subscriber, id="mail")
    async with bus:
        pass
    for _ in range(12):
        connection.execute("SELECT buslog.emit('departed', '{}')")
    monkeypatch.setattr(Store, "claim", noted)
    async with bus:
        await until(lambda: running == 5)
        assert asked == [3, 2]
        may_end.set()
        await until(lambda: running == 12)
    assert max(asked) == 3


async def test_another_worker_hears_of_every_emit_however_close_the_one_before_was(
    make_bus: Callable[..., Bus],
) -> None:
    worker, emitter = make_bus(poll=SELDOM), Bus(host=False, settings=make_bus(poll=SELDOM)._settings)
    ran: list[int] = []

    async def subscriber(message: Message) -> None:
        ran.append(message.payload["n"])

    async def have_run(count: int) -> None:
        await until(lambda: len(ran) == count)

    worker.on("departed", subscriber, id="mail")
    async with worker, emitter:
        await asyncio.sleep(0.2)
        for pair in range(12):
            await emitter.emit("departed", {"n": 2 * pair})
            await asyncio.sleep(0.001 * pair)
            await emitter.emit("departed", {"n": 2 * pair + 1})  # nothing comes behind it that could wake for it
            await have_run(2 * pair + 2)
            await asyncio.sleep(0.02)
    assert sorted(ran) == list(range(24))


async def test_a_place_that_becomes_free_in_a_limit_is_taken_at_once_by_the_same_worker(
    make_bus: Callable[..., Bus],
) -> None:
    bus = make_bus(poll=SELDOM)
    running = most = done = 0

    async def subscriber(message: Message) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        done += 1

    bus.on("departed", subscriber, concurrency=2)
    async with bus:
        await asyncio.gather(*(bus.emit("departed") for _ in range(20)))
        await until(lambda: done == 20)
    assert most == 2


async def test_a_place_that_becomes_free_in_a_limit_is_taken_at_once_by_another_worker(
    make_bus: Callable[..., Bus],
) -> None:
    busy, idle = make_bus(poll=SELDOM, concurrency=1), make_bus(poll=SELDOM)
    may_end, may_all_end = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    async def first(message: Message) -> None:
        ran.append("busy")
        await may_end.wait()

    async def second(message: Message) -> None:
        ran.append("idle")

    async def hog(message: Message) -> None:
        ran.append("hog")
        await may_all_end.wait()

    busy.on("departed", first, id="mail", concurrency=1)
    busy.on("hogged", hog, id="hog", priority=10)
    idle.on("departed", second, id="mail", concurrency=1)
    async with busy:
        await busy.emit("departed")
        await until(lambda: ran == ["busy"])
        await busy.emit("hogged")
        async with idle:
            await busy.emit("departed")
            await asyncio.sleep(0.3)
            assert ran == ["busy"], "the limit holds over both"
            may_end.set()
            await until(lambda: sorted(ran) == ["busy", "hog", "idle"])
        may_all_end.set()


async def test_a_rate_is_reached_and_not_exceeded_by_two_workers_together(make_bus: Callable[..., Bus]) -> None:
    starts: list[float] = []

    async def subscriber(message: Message) -> None:
        starts.append(time.monotonic())

    first, second = make_bus(poll=0.5), make_bus(poll=0.5)
    for bus in (first, second):
        bus.on("departed", subscriber, id="mail", rate=Rate(20))
    async with first, second:
        began = time.monotonic()
        await asyncio.gather(*(first.emit("departed") for _ in range(60)))
        await until(lambda: len(starts) == 60)
    assert all(n <= 20 + 20 * (at - began) + 1 for n, at in enumerate(starts, 1)), "a full second's at first, then 20/s"
    assert 1.9 <= starts[-1] - began < 8, "forty more take two seconds, and some for a busy machine"


async def test_a_rate_with_a_short_period_is_reached_though_the_worker_looks_seldom_and_is_woken_in_between(
    make_bus: Callable[..., Bus],
) -> None:
    starts: list[float] = []

    async def subscriber(message: Message) -> None:
        starts.append(time.monotonic())

    bus = make_bus(poll=SELDOM)
    bus.on("departed", subscriber, rate=Rate(1, per=0.1))
    async with bus:
        for _ in range(15):
            await bus.emit("departed")
            await asyncio.sleep(0.03)  # wakes it before there is a start
        await until(lambda: len(starts) == 15)
    assert starts[-1] - starts[0] >= 1.35


async def test_with_few_places_the_higher_priority_goes_first(make_bus: Callable[..., Bus]) -> None:
    bus = make_bus(concurrency=1)
    ran: list[str] = []
    may_end = asyncio.Event()

    async def wait(message: Message) -> None:
        await may_end.wait()

    def note(name: str) -> Callable[[Message], object]:
        async def subscriber(message: Message) -> None:
            ran.append(name)

        return subscriber

    bus.on("first", wait)
    for name, priority in (("low", -5), ("normal", 0), ("high", 5)):
        bus.on("departed", note(name), id=name, priority=priority)
    async with bus:
        await bus.emit("first")
        await asyncio.gather(*(bus.emit("departed") for _ in range(4)))
        may_end.set()
        await until(lambda: len(ran) == 12)
    assert ran == ["high"] * 4 + ["normal"] * 4 + ["low"] * 4


async def test_a_cancelled_coroutine_is_stopped_and_its_neighbour_runs_on(
    make_bus: Callable[..., Bus], dsn: str, connection: db.Connection
) -> None:
    bus = make_bus(poll=SELDOM)
    stopped: list[int] = []
    may_end = asyncio.Event()

    async def subscriber(message: Message) -> None:
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            stopped.append(message.payload["n"])
            raise

    bus.on("departed", subscriber, id="mail")
    async with bus:
        emitted = [await bus.emit("departed", {"n": n}) for n in range(2)]
        await until(lambda: ended(connection)["running"] == 2)
        operations = Operations(dsn, Actor("local:me", "cli"))
        await asyncio.to_thread(operations.cancel, [DeliveryRef(emitted[0].id, "mail")])
        await until(lambda: stopped == [0])
        may_end.set()
        await until(lambda: ended(connection) == Counter(cancelled=1, succeeded=1))
    assert stopped == [0]


async def test_what_is_cancelled_in_a_limit_makes_room_at_once(make_bus: Callable[..., Bus], dsn: str) -> None:
    bus = make_bus(poll=SELDOM)
    started: list[int] = []

    async def subscriber(message: Message) -> None:
        started.append(message.payload["n"])
        await asyncio.sleep(60 if message.payload["n"] == 0 else 0)

    bus.on("departed", subscriber, id="mail", concurrency=1)
    async with bus:
        first = await bus.emit("departed", {"n": 0})
        await until(lambda: started == [0])
        await bus.emit("departed", {"n": 1})
        await asyncio.to_thread(Operations(dsn, Actor("local:me", "cli")).cancel, [DeliveryRef(first.id, "mail")])
        await until(lambda: started == [0, 1])


async def test_an_outage_uses_up_no_attempts_and_what_waited_runs_when_it_is_over(
    make_bus: Callable[..., Bus], connection: db.Connection
) -> None:
    is_down, probing, most = True, 0, 0
    tried: list[bool] = []

    async def subscriber(message: Message) -> None:
        nonlocal probing, most
        is_open = connection.execute("SELECT opened_at IS NOT NULL FROM buslog.flow").fetchone() == (True,)
        probing += is_open
        most = max(most, probing)
        tried.append(is_open)
        await asyncio.sleep(0.02)
        probing -= is_open
        if is_down:
            raise ConnectionError("carrier does not answer")

    first, second = make_bus(concurrency=2), make_bus(concurrency=2)
    for bus in (first, second):
        bus.on(
            "departed", subscriber, id="mail", outage=Outage((ConnectionError,), after=3, probe_every=0.05),
            retry=RetryPolicy(max_attempts=2, first_delay=0.1, factor=1),
        )  # fmt: skip
    async with first, second:
        await asyncio.gather(*(first.emit("departed") for _ in range(12)))
        await until(lambda: tried.count(True) >= 5)
        most = 0  # those before may have been claimed while it was closed
        await until(lambda: tried.count(True) >= 10)
        assert ended(connection)["failed"] == 0
        assert most == 1
        is_down = False
        await until(lambda: ended(connection) == Counter(succeeded=12))
    row = connection.execute("SELECT count(*), count(DISTINCT (message_id, attempt)) FROM buslog.attempts").fetchone()
    assert row is not None
    assert row[0] == row[1] == len(tried) - 12, "each attempt that raised is in the history"


async def test_what_is_to_run_alone_has_no_neighbours(make_bus: Callable[..., Bus], connection: db.Connection) -> None:
    bus, emitter = make_bus(), make_bus()
    running: set[int] = set()
    beside: list[set[int]] = []

    async def subscriber(message: Message) -> None:
        n = message.payload["n"]
        running.add(n)
        for _ in range(10):
            await asyncio.sleep(0.01)
            if 0 in running:
                beside.append(set(running))
        running.discard(n)

    bus.on("departed", subscriber, id="mail")
    async with bus:
        pass  # registers the subscription
    async with emitter:
        for n in range(30):
            await emitter.emit("departed", {"n": n})
            if n == 0:
                connection.execute("UPDATE buslog.deliveries SET alone = true")
    async with bus:
        await until(lambda: ended(connection) == Counter(succeeded=30))
    assert beside
    assert all(those == {0} for those in beside)
