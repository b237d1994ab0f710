"""Figures of subscriptions: how many, how often in vain, how long; and what is wrong with them now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from buslog import db
from buslog.errors import InvalidFilter
from buslog.filter import Filter
from buslog.flow import Rate
from buslog.insights import rollup
from buslog.insights.model import failure_rate
from buslog.message import ENDED_STATES, Kind, Mode
from buslog.retry import RetryPolicy


class Trouble(IntEnum):
    """What is wrong with a subscription now, the worst last."""

    NONE = 0
    FAILING = 1  # some of its deliveries of the time that is looked at have failed
    UNHOSTED = 2  # no live worker carries its code; nothing waits yet
    PAUSED = 3
    OUTAGE = 4  # its circuit is open
    WAITING_FOR_NOBODY = 5  # no live worker carries its code, and deliveries wait; or emits wait for it


@dataclass(frozen=True, slots=True)
class Policy:
    """What its author chose. `timeout`: seconds, None for no limit; `knows_timeout`: it was registered with one."""

    retry: RetryPolicy
    timeout: float | None
    knows_timeout: bool
    order: int
    ordered_by_key: bool
    skips_failed: bool
    priority: int
    concurrency: int | None
    rate: Rate | None
    outage_after: int | None
    outage_probe: float | None
    unsafe_to_replay: str | None


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscription: what became of its deliveries of messages of some time, and how it is now.

    p50, p95, p99: what these shares of the last attempts stayed below, to within a tenth; None where none ran.
    `per_second`: deliveries that ended, by the length of the time; None where the time has no bound.
    `backlog`: unfinished deliveries; `oldest`: when the message of the oldest one that waits was emitted.
    `paused_by`, `why_paused`: as the last pause says that was audited.
    """

    subscription: str
    kind: Kind
    names: list[str]
    description: str
    mode: Mode
    policy: Policy
    code_version: str
    registered_at: datetime
    is_active: bool
    succeeded: int
    failed: int
    cancelled: int
    per_second: float | None
    p50: timedelta | None
    p95: timedelta | None
    p99: timedelta | None
    backlog: int
    oldest: datetime | None
    live_workers: int
    paused_at: datetime | None
    paused_by: str | None
    why_paused: str | None
    circuit_opened_at: datetime | None

    @property
    def failure_rate(self) -> float | None:
        return failure_rate(self.succeeded, self.failed)

    @property
    def keeps_emits_waiting(self) -> bool:
        """Each emit of its names waits for an answer that nobody gives."""
        return self.mode is Mode.SYNC and self.is_active and not self.live_workers

    @property
    def trouble(self) -> Trouble:
        """The worst of what is wrong with it."""
        if not self.live_workers and (self.backlog or self.keeps_emits_waiting):
            return Trouble.WAITING_FOR_NOBODY
        if self.circuit_opened_at:
            return Trouble.OUTAGE
        if self.paused_at:
            return Trouble.PAUSED
        if self.is_active and not self.live_workers:
            return Trouble.UNHOSTED
        return Trouble.FAILING if self.failed else Trouble.NONE


def subscribers(connection: db.Connection, filter_: Filter, now: datetime) -> list[Subscriber]:
    if replace(filter_, subscription=None).is_narrow:
        raise InvalidFilter(
            field="filter", rule="asks for a time and a subscription", was="one that asks for more",
            mend="Leave out all else.",
        )  # fmt: skip
    ended = rollup.by_subscription(connection, filter_, now)
    lasted = rollup.lasted_by_subscription(connection, filter_, now)
    since, until = filter_.bounds(now)
    seconds = ((until or now) - since).total_seconds() if since else 0.0
    found = []
    asked = {"subscription": filter_.subscription}
    for row in connection.execute(db.query("subscribers"), asked):
        number, name, mode, policy, is_active, backlog, oldest, live_workers, paused_at, circuit_opened_at = row[:10]
        kind, description, code_version, registered_at, names, *chosen, paused_by, why_paused = row[10:]
        succeeded, failed, cancelled = (ended.get(number, {}).get(state, 0) for state in ENDED_STATES)
        took = lasted.get(number, Counter())
        p50, p95, p99 = (rollup.quantile(took, share) for share in (0.5, 0.95, 0.99))
        found.append(
            Subscriber(
                name, Kind(kind), names, description, Mode(mode), _policy(json.loads(policy), chosen), code_version,
                registered_at, is_active, succeeded, failed, cancelled,
                (succeeded + failed + cancelled) / seconds if seconds > 0 else None, p50, p95, p99,
                backlog, oldest, live_workers, paused_at, paused_by, why_paused, circuit_opened_at,
            )
        )  # fmt: skip
    return found


def _policy(stored: dict[str, Any], chosen: Sequence[Any]) -> Policy:
    order, ordered_by_key, skips_failed, priority, concurrency, rate_count, rate_per, after, probe, unsafe = chosen
    return Policy(
        RetryPolicy.from_json(stored), stored.get("timeout"), "timeout" in stored, order, ordered_by_key, skips_failed,
        priority, concurrency, Rate(rate_count, rate_per) if rate_count else None, after, probe, unsafe,
    )  # fmt: skip
