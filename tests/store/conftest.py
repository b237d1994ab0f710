"""A store on a test's database, and words to set a scene with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from buslog import Bus, RetryPolicy, db
from buslog.desk import Actor
from buslog.execution import Claimed, Outcome
from buslog.insights import Insights
from buslog.insights.statements import Statement
from buslog.message import DeliveryRef, State
from buslog.operations import Operations
from buslog.rescue import Rescue
from buslog.store import Said, Settlement, Store


@pytest.fixture
def insights(dsn: str) -> Iterator[Insights]:
    opened = Insights(dsn)
    yield opened
    opened.close()


class Scene:
    """A store with subscriptions, and workers that are played by hand."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.worker = 0
        self.numbers: dict[str, int] = {}

    async def subscribe(self, subscription_id: str, name: str | list[str] = "departed", **options: Any) -> int:
        """Registers a subscription, and enters a worker that hosts all of them."""
        bus = Bus()
        bus.on(name, lambda _: None, id=subscription_id, **{"retry": RetryPolicy(max_attempts=3), **options})
        (subscription,) = bus._registry
        self.numbers[subscription_id] = await self.store.register(subscription, "test")
        self.worker = await self.enter()
        return self.numbers[subscription_id]

    async def enter(self) -> int:
        return await self.store.enter("host:1", "test", list(self.numbers.values()), 60)

    async def emit(
        self, name: str = "departed", payload: dict[str, Any] | None = None, *, key: str | None = None,
        delay: float | None = None,
    ) -> UUID:  # fmt: skip
        said = Said(name, json.dumps(payload or {"shipmentId": "S-42"}), key=key, delay=delay)
        (stored,) = await self.store.emit_many([said])
        return stored.message_id

    async def claim(self, places: int = 10, worker: int | None = None) -> list[Claimed]:
        claims = await self.store.claim(worker or self.worker, list(self.numbers.values()), places)
        return sorted(claims, key=lambda c: c.fence)

    async def claim_alone(self, worker: int | None = None) -> Claimed | None:
        return await self.store.claim_alone(worker or self.worker, list(self.numbers.values()))

    async def settle(
        self, claimed: Claimed, state: State = State.SUCCEEDED, delay: float | None = None, *, outage: bool = False
    ) -> bool:
        error = None if state in {State.SUCCEEDED, State.PENDING} else "ValueError"
        outcome = Outcome(state, delay=delay, error_type=error, error=error and "broken", outage=outage)
        settlement = Settlement(claimed.message_id, claimed.subscription_id, claimed.fence, outcome)
        return bool(await self.store.settle([settlement], "host:1", "test"))

    async def lose(self, connection: db.Connection, worker: int | None = None) -> None:
        """The worker dies and is rescued; a new one comes in for it."""
        connection.execute(
            "UPDATE buslog.workers SET lease = 0, lease_until = clock_timestamp() WHERE id = %s",
            [worker or self.worker],
        )
        assert await self.store.retire_workers()
        await Rescue(self.store, 1, lambda: None)._rescue()
        if worker in {None, self.worker}:
            self.worker = await self.enter()

    async def run_all(self) -> list[UUID]:
        """Claims and settles until nothing is ready; returns the messages in the order in which they ran."""
        ran: list[UUID] = []
        while claims := await self.claim(100):
            for claimed in claims:
                ran.append(claimed.message_id)
                await self.settle(claimed)
        return ran

    def ref(self, message_id: UUID, subscription_id: str = "mail") -> DeliveryRef:
        return DeliveryRef(message_id, subscription_id)

    def names_of(self, claims: list[Claimed]) -> list[str]:
        names = {number: given for given, number in self.numbers.items()}
        return [names[c.subscription_id] for c in claims]


def states(connection: db.Connection) -> dict[str, str]:
    """The state of each subscription's delivery (of one message)."""
    return dict(connection.execute("SELECT subscription, state FROM buslog.log").fetchall())


def states_of(connection: db.Connection, *messages: UUID) -> list[str]:
    """The state of each message's delivery (of one subscription)."""
    found: dict[UUID, str] = dict(connection.execute("SELECT message_id, state FROM buslog.log").fetchall())
    return [found[message] for message in messages]


@pytest.fixture
def operations(dsn: str) -> Operations:
    return Operations(dsn, Actor("local:tester", "cli"))


@pytest_asyncio.fixture
async def scene(dsn: str) -> AsyncIterator[Scene]:
    store = Store(dsn)
    await store.open()
    yield Scene(store)
    await store.close()


@contextmanager
def heard(before: Callable[[bytes], None] = lambda _: None) -> Iterator[list[tuple[bytes, dict[str, Any]]]]:
    """The composed statements of the reads in the block, with their values; `before` each one is carried out."""
    asked: list[tuple[bytes, dict[str, Any]]] = []
    on = Statement.on

    def hear(self: Statement, connection: db.Connection, values: Any, **choices: Any) -> db.Cursor:
        before(self.text)
        asked.append((self.text, {**self.fixed, **values}))
        return on(self, connection, values, **choices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Statement, "on", hear)
        yield asked
