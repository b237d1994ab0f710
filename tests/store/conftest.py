"""A store on a test's database, and words to set a scene with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest_asyncio

from buslog import Bus, RetryPolicy
from buslog.execution import Claimed, Outcome
from buslog.message import State
from buslog.store import Said, Settlement, Store


class Scene:
    """A store with subscriptions, and a worker that is played by hand."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.worker = 0
        self.numbers: dict[str, int] = {}

    async def subscribe(self, subscription_id: str, name: str = "departed", **options: Any) -> int:
        bus = Bus()
        bus.on(name, lambda _: None, id=subscription_id, retry=RetryPolicy(max_attempts=3), **options)
        (subscription,) = bus._registry
        self.numbers[subscription_id] = await self.store.register(subscription, "test")
        self.worker = await self.store.enter("host:1", "test", list(self.numbers.values()), 60)
        return self.numbers[subscription_id]

    async def emit(self, name: str = "departed", payload: dict[str, Any] | None = None) -> UUID:
        (stored,) = await self.store.emit_many([Said(name, json.dumps(payload or {"shipmentId": "S-42"}))])
        return stored.message_id

    async def claim(self, places: int = 10) -> list[Claimed]:
        claims = await self.store.claim(self.worker, list(self.numbers.values()), places)
        return sorted(claims, key=lambda c: c.fence)

    async def settle(self, claimed: Claimed, state: State = State.SUCCEEDED, delay: float | None = None) -> bool:
        error = None if state in {State.SUCCEEDED, State.PENDING} else "ValueError"
        outcome = Outcome(state, delay=delay, error_type=error, error=error and "broken")
        settlement = Settlement(claimed.message_id, claimed.subscription_id, claimed.fence, outcome)
        return bool(await self.store.settle([settlement], "host:1", "test"))

    def names_of(self, claims: list[Claimed]) -> list[str]:
        names = {number: given for given, number in self.numbers.items()}
        return [names[c.subscription_id] for c in claims]


@pytest_asyncio.fixture
async def scene(dsn: str) -> AsyncIterator[Scene]:
    store = Store(dsn)
    await store.open()
    yield Scene(store)
    await store.close()
