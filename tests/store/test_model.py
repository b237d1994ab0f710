"""A Hypothesis state machine: what emit, claim, settle, rescue and people do to deliveries, against a plain model.

Every step goes through the real store and the real operations, on a real database; after each, all that the database
holds is compared with the model.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from buslog import Bus, RetryPolicy, db
from buslog.desk import Actor
from buslog.errors import OperationRefused
from buslog.execution import Claimed, Outcome
from buslog.message import DeliveryRef, State
from buslog.operations import Operations
from buslog.rescue import Rescue
from buslog.store import NOBODY, Lease, Said, Settlement, Store

T = TypeVar("T")
LONG = os.environ.get("CHAOS") == "long"  # `make chaos`
MAX_ATTEMPTS = 3
POLICY = RetryPolicy(max_attempts=MAX_ATTEMPTS, first_delay=0.0, jitter=0)
SUBSCRIPTIONS = {"departed": ["mail", "log"], "chained": ["first", "second", "third"], "keyed": ["ledger"]}  # by name
ALL = [subscription for heard in SUBSCRIPTIONS.values() for subscription in heard]
LATER = 3600.0  # seconds
MOST_DELIVERIES = 10  # few, so that much happens to each
OPEN = {"pending", "running", "retrying", "scheduled"}
Key = tuple[UUID, str]


@dataclass
class Delivery:
    """What the model knows of one: its open generation, or the last one that ended; and those before."""

    place: int | None  # in its chain, from 1
    state: str
    order_key: str | None = None
    sequenced: bool = False
    generation: int = 1
    attempt: int = 0
    repeats: int = 0
    due_now: bool = False
    lost_before: bool = False  # a worker, in this generation
    alone: bool = False
    worker: int | None = None
    fence: int = 0
    ended: list[tuple[int, str, int]] = field(default_factory=list)  # generation, state, attempts

    @property
    def is_open(self) -> bool:
        return self.state in OPEN or self.state == "blocked"

    def allows(self, verb: str) -> bool:
        return {
            "replay": not self.is_open,
            "run_now": self.state in {"scheduled", "retrying"},
            "cancel": self.is_open or self.state == "failed",
        }[verb]

    def become_due(self) -> None:
        is_new = self.state == "scheduled" and self.order_key is not None
        self.state = "blocked" if is_new else "pending"

    def end(self, state: str) -> None:
        self.state, self.worker = state, None
        self.ended.append((self.generation, state, self.attempt))


class Model:
    """Deliveries by message and subscription, and the rules of docs/states.md in a few lines."""

    def __init__(self) -> None:
        self.deliveries: dict[Key, Delivery] = {}

    def chain(self, message: UUID) -> list[Delivery]:
        found = [d for (m, _), d in self.deliveries.items() if m == message and d.place is not None]
        return sorted(found, key=lambda d: d.place or 0)

    def promote(self) -> None:
        """What has its turn: after each step, for whatever the step has opened."""
        for message in {message for message, _ in self.deliveries}:
            self._promote_chain(message)
        for key in {d.order_key for d in self.deliveries.values() if d.order_key is not None}:
            self._promote_key(key)

    def sequence(self, asked: list[str]) -> None:
        """A claim gives places to what has arrived for the subscriptions that it asks for."""
        for (_, name), delivery in self.deliveries.items():
            if name in asked and delivery.order_key is not None and delivery.state == "blocked":
                delivery.sequenced = True
        self.promote()

    def of_key(self, key: str) -> list[Delivery]:
        return [d for _, d in sorted(self.deliveries.items()) if d.order_key == key]

    def _promote_key(self, key: str) -> None:
        """The oldest that has a place, unless one of its key is open or an older one has failed."""
        for delivery in self.of_key(key) if not any(d.state in OPEN - {"scheduled"} for d in self.of_key(key)) else ():
            if delivery.state == "failed":
                return
            if delivery.state == "blocked" and delivery.sequenced:
                delivery.state = "pending"
                return

    def _promote_chain(self, message: UUID) -> None:
        """The first that is blocked has its turn, unless one is open or one before it has failed."""
        chain = self.chain(message)
        head = next((d for d in chain if d.state == "blocked"), None)
        if head is None or any(d.state in OPEN for d in chain):
            return
        if not any(d.state == "failed" and (d.place or 0) < (head.place or 0) for d in chain):
            head.state = "pending"

    def inherit_schedule(self, message: UUID, cancelled: list[Delivery]) -> None:
        """A chain whose scheduled head is cancelled goes on waiting."""
        chain = self.chain(message)
        heir = next((d for d in chain if d.state == "blocked" and not any(d is gone for gone in cancelled)), None)
        if heir is not None and any(d.state == "scheduled" and any(d is gone for gone in cancelled) for d in chain):
            heir.state = "scheduled"

    def settle(self, claimed: Claimed, name: str, outcome: Outcome) -> bool:
        """Whether the outcome is accepted."""
        delivery = self.deliveries[claimed.message_id, name]
        if delivery.state != "running" or delivery.fence != claimed.fence:
            return False
        if outcome.state in {State.SUCCEEDED, State.FAILED, State.CANCELLED}:
            delivery.end(outcome.state.value)
        else:
            delivery.state, delivery.worker = outcome.state.value, None
            delivery.due_now = outcome.delay == 0
            delivery.attempt -= outcome.state is State.PENDING
        return True

    def expire(self, worker: int) -> None:
        for delivery in self.deliveries.values():
            if delivery.worker != worker:
                continue
            if delivery.attempt >= MAX_ATTEMPTS:
                delivery.end("failed")
            else:
                delivery.state, delivery.worker, delivery.due_now = "retrying", None, True
                delivery.alone |= delivery.lost_before or delivery.attempt + 1 >= MAX_ATTEMPTS
                delivery.lost_before = True
        self.promote()

    def replay(self, keys: list[Key]) -> set[Key]:
        moved = {key for key in keys if self.deliveries[key].allows("replay")}
        for delivery in [self.deliveries[key] for key in moved]:
            delivery.repeats += delivery.state == "succeeded"
            delivery.sequenced = delivery.order_key is not None
            waits = delivery.place is not None or delivery.order_key is not None
            delivery.state = "blocked" if waits else "pending"
            delivery.generation, delivery.attempt = delivery.generation + 1, 0
            delivery.alone = delivery.lost_before = False
        self.promote()
        return moved

    def run_now(self, keys: list[Key]) -> set[Key]:
        moved = {key for key in keys if self.deliveries[key].allows("run_now")}
        for key in moved:
            self.deliveries[key].become_due()
        return moved

    def cancel(self, keys: list[Key]) -> set[Key]:
        moved = {key for key in keys if self.deliveries[key].allows("cancel")}
        for message in {message for message, _ in moved}:
            self.inherit_schedule(message, [self.deliveries[key] for key in moved])
        for key in moved:
            delivery = self.deliveries[key]
            delivery.generation += not delivery.is_open
            delivery.end("cancelled")
        self.promote()
        return moved


OUTCOMES = st.sampled_from([
    Outcome(State.SUCCEEDED),
    Outcome(State.FAILED, error_type="Fail", error="not worth retrying"),
    Outcome(State.SUCCEEDED, result='{"updated": 3}'),
    Outcome(State.FAILED, error_type="ValueError", error="broken"),
    Outcome(State.CANCELLED, error_type="Cancel", error="no longer needed"),
    Outcome(State.RETRYING, delay=0.0, error_type="ValueError", error="broken"),
    Outcome(State.RETRYING, delay=LATER, error_type="ValueError", error="broken"),
    Outcome(State.PENDING),
])  # fmt: skip
# What is drawn must not hang on what the database did: it claims in any order. So places are drawn, taken modulo.
PLACES = st.integers(0, 59)


class BusMachine(RuleBasedStateMachine):
    """Two workers played by hand, and a person."""

    dsn = ""

    @initialize()
    def clear(self) -> None:
        self.runner = asyncio.Runner()
        self.connection = db.connect(self.dsn)
        for table in ("deliveries", "ended_deliveries", "attempts", "messages", "workers"):
            self.connection.execute(f"DELETE FROM buslog.{table}")
        self.model = Model()
        self.store = Store(self.dsn)
        self.run(self.store.open())
        self.operations = Operations(self.dsn, Actor("local:model", "cli"))
        self.numbers = dict(self.run(self.register()))
        self.names = {number: name for name, number in self.numbers.items()}
        self.workers = [self.enter(), self.enter()]
        self.claims: list[Claimed] = []

    def key(self, claimed: Claimed) -> Key:
        return claimed.message_id, self.names[claimed.subscription_id]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def register(self) -> list[tuple[str, int]]:
        bus = Bus()
        for name in SUBSCRIPTIONS["departed"]:
            bus.on("departed", lambda _: None, id=name, retry=POLICY)
        for order, name in enumerate(SUBSCRIPTIONS["chained"]):
            bus.on("chained", lambda _: None, id=name, retry=POLICY, mode="serial", order=order)
        for name in SUBSCRIPTIONS["keyed"]:
            bus.on("keyed", lambda _: None, id=name, retry=POLICY, ordered_by_key=True)
        return [(subscription.id, await self.store.register(subscription, "")) for subscription in bus._registry]

    def enter(self) -> int:
        return self.run(self.store.enter("host:1", "", list(self.numbers.values()), 3600))

    # ── emit and work ───────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.model.deliveries) < MOST_DELIVERIES)
    @rule(
        name=st.sampled_from([*SUBSCRIPTIONS, "keyed"]), key=st.sampled_from(["a", "b"]), is_later=st.booleans(),
        host=st.sampled_from([None, 0, 1]), started=st.integers(0, 1),
    )  # fmt: skip
    def emit(self, name: str, key: str, is_later: bool, host: int | None, started: int) -> None:
        lease = NOBODY if host is None else Lease(self.workers[host], list(self.numbers.values()), started)
        said = Said(name, "{}", key=key, delay=LATER if is_later else None)
        (stored,) = self.run(self.store.emit_many([said], lease))
        leased = {self.names[number] for number in stored.leased}
        self.claims += stored.claims(said)
        fences = dict(zip(stored.leased, stored.fences, strict=True))
        for place, subscription in enumerate(SUBSCRIPTIONS[name], 1):
            waits = (name == "chained" and place > 1) or (name == "keyed" and not is_later)
            is_leased = host is not None and started > 0 and not is_later and not waits
            assert (subscription in leased) is is_leased
            state = "running" if is_leased else "blocked" if waits else "scheduled" if is_later else "pending"
            self.model.deliveries[stored.message_id, subscription] = Delivery(
                place if name == "chained" else None, state, key if name == "keyed" else None,
                attempt=int(is_leased), worker=self.workers[host] if is_leased and host is not None else None,
                fence=fences.get(self.numbers[subscription], 0),
            )  # fmt: skip

    @rule(who=st.integers(0, 1), places=st.integers(1, 4), hosts=st.permutations(ALL), hosted=st.integers(1, len(ALL)))
    def claim(self, who: int, places: int, hosts: list[str], hosted: int) -> None:
        self.take(who, places, hosts[:hosted])

    @rule(who=st.integers(0, 1), hosts=st.permutations(ALL), hosted=st.integers(1, len(ALL)))
    def claim_alone(self, who: int, hosts: list[str], hosted: int) -> None:
        self.take_alone(who, hosts[:hosted])

    def take(self, who: int, places: int, asked: list[str]) -> None:
        claims = self.run(self.store.claim(self.workers[who], [self.numbers[name] for name in asked], places))
        self.model.sequence(asked)
        self.taken(who, claims, places, self.ready(asked, alone=False))

    def take_alone(self, who: int, asked: list[str]) -> None:
        claimed = self.run(self.store.claim_alone(self.workers[who], [self.numbers[name] for name in asked]))
        self.taken(who, [claimed] if claimed else [], 1, self.ready(asked, alone=True))

    def ready(self, asked: list[str], *, alone: bool) -> list[Key]:
        return [
            key
            for key, d in self.model.deliveries.items()
            if d.state == "pending" and key[1] in asked and d.alone is alone
        ]

    def taken(self, who: int, claims: list[Claimed], places: int, ready: list[Key]) -> None:
        assert len(claims) == min(places, len(ready))
        for claimed in claims:
            key = self.key(claimed)
            assert key in ready, "claimed what was not ready, or twice"
            ready.remove(key)
            delivery = self.model.deliveries[key]
            assert claimed.fence > delivery.fence, "a fence is never drawn again"
            delivery.state, delivery.worker, delivery.fence = "running", self.workers[who], claimed.fence
            delivery.attempt += 1
            counted = (delivery.attempt, delivery.generation, delivery.repeats)
            assert (claimed.attempt, claimed.generation, claimed.repeats) == counted
        order = list(self.model.deliveries)
        self.claims += sorted(claims, key=lambda claimed: order.index(self.key(claimed)))

    @precondition(lambda self: self.claims)
    @rule(picked=st.lists(st.tuples(PLACES, OUTCOMES), min_size=1, max_size=3))
    def settle(self, picked: list[tuple[int, Outcome]]) -> None:
        """Outcomes of claims, old ones too: those are stale, above all when their delivery runs again."""
        running = [c for c in self.claims if self.model.deliveries[self.key(c)].state == "running"]
        candidates = running or self.claims[-6:]
        chosen = {self.key(claimed): (claimed, outcome) for claimed, outcome in
                  ((candidates[place % len(candidates)], outcome) for place, outcome in picked)}  # fmt: skip
        settlements, expected = [], set()
        for claimed, outcome in chosen.values():
            settlements.append(Settlement(claimed.message_id, claimed.subscription_id, claimed.fence, outcome))
            if self.model.settle(claimed, self.names[claimed.subscription_id], outcome):
                expected.add(claimed.fence)
        self.model.promote()
        assert self.run(self.store.settle(settlements, "host:1", "")) == expected

    @rule()
    def promote_due(self) -> None:
        self.become_due()

    def become_due(self) -> None:
        promoted, _ = self.run(self.store.promote_due(1000))
        due = [d for d in self.model.deliveries.values() if d.state == "retrying" and d.due_now]
        assert promoted == len(due)
        for delivery in due:
            delivery.become_due()

    @rule(who=st.integers(0, 1), is_taken_over=st.booleans())
    def expire(self, who: int, is_taken_over: bool) -> None:
        """A worker's lease runs out; it is retired, rescued and forgotten, and a new one comes in. Taken over: the
        other one runs what it held, at once.
        """
        lost = self.workers[who]
        self.connection.execute(
            "UPDATE buslog.workers SET lease_until = clock_timestamp(), lease = 0 WHERE id = %s", [lost]
        )
        assert self.run(self.store.retire_workers())
        self.run(Rescue(self.store, 1, lambda: None)._rescue())
        assert not self.run(self.store.retire_workers()), "it is forgotten"
        self.model.expire(lost)
        self.workers[who] = self.enter()
        if is_taken_over:
            self.become_due()
            self.take(1 - who, MOST_DELIVERIES, ALL)
            self.take_alone(1 - who, ALL)

    # ── what people do ──────────────────────────────────────────────────────────

    @precondition(lambda self: self.model.deliveries)
    @rule(
        verb=st.sampled_from(["replay", "replay", "run_now", "run_now", "cancel"]),
        is_whole=st.booleans(),
        picked=st.lists(st.tuples(PLACES, st.booleans()), min_size=1, max_size=3),
    )
    def operate(self, verb: str, is_whole: bool, picked: list[tuple[int, bool]]) -> None:
        """Of those that fit, or of all. Whole: all deliveries of the first one's message."""
        known = list(self.model.deliveries)
        fit = [key for key in known if self.model.deliveries[key].allows(verb)] or known
        among = [(place, fit if is_fit else known) for place, is_fit in picked]
        keys = list(dict.fromkeys(candidates[place % len(candidates)] for place, candidates in among))
        if is_whole:
            keys = [key for key in known if key[0] == keys[0][0]]
        expected = getattr(self.model, verb)(keys)
        moved: list[DeliveryRef] = []
        with suppress(OperationRefused):
            moved = getattr(self.operations, verb)([DeliveryRef(*key) for key in keys], reason="again")
        assert {(ref.message_id, ref.subscription) for ref in moved} == expected

    # ── the comparison ──────────────────────────────────────────────────────────

    @invariant()
    def the_database_holds_what_the_model_holds(self) -> None:
        open_rows = {
            (message, self.names[number]): (state, generation, attempt, repeats, worker)
            for message, number, state, generation, attempt, repeats, worker in self.rows(
                "SELECT message_id, subscription_id, state::text, generation, attempt, repeats, worker_id"
                " FROM buslog.deliveries"
            )
        }
        assert open_rows == {
            key: (d.state, d.generation, d.attempt, d.repeats, d.worker)
            for key, d in self.model.deliveries.items()
            if d.is_open
        }
        ended_rows = set(
            self.rows("SELECT message_id, subscription_id, generation, state::text, attempts, latest"
                      " FROM buslog.ended_deliveries")
        )  # fmt: skip
        assert ended_rows == {
            (message, self.numbers[name], *ended, not d.is_open and ended[0] == d.generation)
            for (message, name), d in self.model.deliveries.items()
            for ended in d.ended
        }

    @invariant()
    def the_log_shows_each_delivery_once(self) -> None:
        shown = sorted(self.rows("SELECT message_id, subscription, state FROM buslog.log"))
        assert shown == sorted((*key, d.state) for key, d in self.model.deliveries.items())

    @invariant()
    def one_of_a_chain_is_open_at_a_time(self) -> None:
        for message in {message for message, _ in self.model.deliveries}:
            assert sum(d.state in OPEN for d in self.model.chain(message)) <= 1

    @invariant()
    def one_of_a_key_is_open_at_a_time(self) -> None:
        for key in ("a", "b"):
            assert sum(d.state in OPEN - {"scheduled"} for d in self.model.of_key(key)) <= 1

    def rows(self, query: Any) -> Iterator[tuple[Any, ...]]:
        return iter(self.connection.execute(query).fetchall())

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.store.close())
            self.connection.close()
            self.runner.close()


# Hypothesis tells a time-out as a flaky example, which reads like a broken promise. The long form takes two minutes,
# and many times that beside other work: it has an hour, whatever the command line says.
@pytest.mark.timeout(3600 if LONG else 120)
def test_whatever_happens_in_whatever_order_the_database_does_what_the_model_does(dsn: str) -> None:
    machine = type("Machine", (BusMachine,), {"dsn": dsn})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=1000 if LONG else 40, stateful_step_count=60 if LONG else 40, deadline=None, print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
        ),
    )  # fmt: skip
