"""Why has this not run? What keeps an open delivery waiting, by the rules that claim, settle and promote go by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from buslog import db
from buslog.message import DeliveryRef, State


class Reason(StrEnum):
    """What may keep a delivery from running, or says who is at it."""

    OFF_THE_BUS = "off the bus"  # its subscription was taken off, and no worker carries its code
    NO_WORKER = "no live worker hosts it"
    PAUSED = "paused"  # at, actor, note
    OUTAGE = "outage"  # at: the circuit opened; until: the next probe
    CONCURRENCY = "concurrency"  # number run, of `limit`
    RATE = "rate"  # limit starts in `seconds` are used up; until: the next one
    ALONE = "alone"  # workers died under it
    QUEUE = "queue"  # number are before it
    NEXT = "next"  # nothing is before it: a worker that is free
    CHAIN = "chain"  # behind another subscriber of the message: holder
    KEY = "key"  # behind another delivery of its key: holder, number
    ARRIVING = "arriving"  # its place among its key is given with a worker's next look
    SCHEDULED = "scheduled"  # until
    RETRYING = "retrying"  # until, number of `limit` attempts used, error_type
    OVERDUE = "overdue"  # due since `at`, with a worker's next look
    RUNNING = "running"  # at, worker
    LOST = "lost"  # worker: its lease has run out; it is rescued with another worker's next look


MOST = 1000  # counts of what is before a delivery stop here


@dataclass(frozen=True, slots=True)
class Holder:
    """The delivery that another one is behind: `state` is open, or failed."""

    message_id: UUID
    name: str
    subscription: str
    state: State


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason, with the facts that it has. `number` is at most `MOST`."""

    reason: Reason
    at: datetime | None = None
    until: datetime | None = None
    number: int = 0
    limit: int = 0
    seconds: float = 0.0
    actor: str | None = None
    note: str | None = None
    worker: str | None = None
    error_type: str | None = None
    key: str | None = None
    holder: Holder | None = None


def why(connection: db.Connection, message_ids: Sequence[UUID], now: datetime) -> dict[DeliveryRef, list[Cause]]:
    """By open delivery of these messages, what keeps it from running: what has to be mended first comes first."""
    rows = connection.execute(db.query("why"), {"ids": list(message_ids)})
    return {DeliveryRef(row[0], row[1]): list(_causes(_Facts(*row[2:]), now)) or [Cause(Reason.NEXT)] for row in rows}


@dataclass(frozen=True, slots=True)
class _Facts:
    """The columns of why.sql after the first two."""

    state: str
    charged: int
    max_attempts: int | None
    due_at: datetime | None
    started_at: datetime | None
    is_alone: bool
    is_active: bool
    paused_at: datetime | None
    paused_by: str | None
    paused_why: str | None
    is_hosted: bool
    worker: str | None
    is_leased: bool | None
    opened_at: datetime | None
    probe_at: datetime | None
    concurrency: int | None
    running: int | None
    rate_count: int | None
    rate_per: float | None
    tokens: float | None
    ahead: int | None
    error_type: str | None
    is_chained: bool
    key: str | None
    is_sequenced: bool
    holder_id: UUID | None
    holder_name: str | None
    holder_subscription: str | None
    holder_state: str | None
    queued: int | None


def _causes(facts: _Facts, now: datetime) -> Iterator[Cause]:
    state = State(facts.state)
    if state is State.RUNNING:
        yield Cause(Reason.RUNNING if facts.is_leased else Reason.LOST, at=facts.started_at, worker=facts.worker)
        return
    if not facts.is_hosted:
        yield Cause(Reason.NO_WORKER if facts.is_active else Reason.OFF_THE_BUS)
    if facts.paused_at:
        yield Cause(Reason.PAUSED, at=facts.paused_at, actor=facts.paused_by, note=facts.paused_why)
    match state:
        case State.SCHEDULED | State.RETRYING if facts.due_at and facts.due_at <= now:
            yield Cause(Reason.OVERDUE, at=facts.due_at)
        case State.SCHEDULED:
            yield Cause(Reason.SCHEDULED, until=facts.due_at)
        case State.RETRYING:
            yield Cause(
                Reason.RETRYING, until=facts.due_at, number=facts.charged, limit=facts.max_attempts or 0,
                error_type=facts.error_type,
            )  # fmt: skip
        case State.BLOCKED:
            yield _blocked(facts)
        case _:
            yield from _pending(facts, now)


def _blocked(facts: _Facts) -> Cause:
    holder = None
    if facts.holder_id and facts.holder_name and facts.holder_subscription and facts.holder_state:
        holder = Holder(facts.holder_id, facts.holder_name, facts.holder_subscription, State(facts.holder_state))
    if facts.is_chained and facts.key is None:
        return Cause(Reason.CHAIN, holder=holder)
    if not holder and not facts.is_sequenced:
        return Cause(Reason.ARRIVING, key=facts.key)
    return Cause(Reason.KEY, key=facts.key, holder=holder, number=facts.queued or 0)


def _pending(facts: _Facts, now: datetime) -> Iterator[Cause]:
    if facts.opened_at:
        yield Cause(Reason.OUTAGE, at=facts.opened_at, until=facts.probe_at)
    elif facts.is_alone:
        yield Cause(Reason.ALONE)
    if facts.concurrency is not None and (facts.running or 0) >= facts.concurrency:
        yield Cause(Reason.CONCURRENCY, number=facts.running or 0, limit=facts.concurrency)
    if facts.rate_count and facts.rate_per and facts.tokens is not None and facts.tokens < 1:
        wait = (1 - facts.tokens) * facts.rate_per / facts.rate_count
        yield Cause(Reason.RATE, limit=facts.rate_count, seconds=facts.rate_per, until=now + timedelta(seconds=wait))
    if facts.ahead:
        yield Cause(Reason.QUEUE, number=facts.ahead)
