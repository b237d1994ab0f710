"""The bus's writes, each one named query: emit, claim, settle, rescue. Raises BuslogError only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from buslog import db
from buslog.errors import InvalidMessage, InvalidSubscription
from buslog.execution import Claimed, Outcome
from buslog.message import State
from buslog.retry import RetryPolicy
from buslog.subscription import Subscription

POOL_SIZE = 11  # the five that are kept, rescue, the three folds, and two for the others
# These keep a connection from one call to the next, by what it is for.
KEPT = {
    "emit_lone": "emit", "emit_many": "emit", "notify": "notify", "claim": "claim", "settle": "settle",
    "carry_on": "carry_on",
}  # fmt: skip

T = TypeVar("T")


class Said(NamedTuple):
    """A message on its way into the log. `payload` is checked JSON text."""

    name: str
    payload: str
    key: str | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None  # W3C trace context
    delay: float | None = None  # seconds, by the database's clock
    due_at: datetime | None = None
    dedupe_key: str | None = None
    dedupe_window: float | None = None  # seconds


class Stored(NamedTuple):
    """What became of a message that was said: its deliveries born leased to us, and the sync ones that are not.

    `kind` to `correlation_id` are told only with what was born leased; of a duplicate only `message_id`, which is the
    first one's.
    """

    message_id: UUID
    kind: str
    key: str | None
    emitted_at: datetime
    correlation_id: UUID
    routed: int
    leased: Sequence[int]
    fences: Sequence[int]
    awaited: Sequence[int]
    duplicate: bool

    def claims(self, said: Said) -> list[Claimed]:
        """The deliveries born leased, as if they had been claimed."""
        return [
            Claimed(
                self.message_id, subscription, fence, 1, 1, 1, 0, self.kind, said.name, self.key, said.payload,
                self.emitted_at, self.correlation_id, said.causation_id, said.traceparent,
            )
            for fence, subscription in sorted(zip(self.fences, self.leased, strict=True))
        ]  # fmt: skip


class Logged(NamedTuple):
    """A message as the log has it. `payload` is JSON text."""

    id: UUID
    kind: str
    name: str
    key: str | None
    payload: str
    emitted_at: datetime
    correlation_id: UUID
    causation_id: UUID | None


class Lease(NamedTuple):
    """What a worker brings to a claim or an emit: its id, the subscriptions it hosts, and how many deliveries it can
    start now; to an emit, of how many of the messages.
    """

    worker: int | None
    hosts: list[int]
    places: int


class Orphan(NamedTuple):
    """A delivery whose worker is gone."""

    message_id: UUID
    subscription_id: int
    fence: int
    charged: int
    retry: RetryPolicy
    worker: str


class Step(NamedTuple):
    """What one step of a stored run did. `run` is None when none was due; `next_in`: seconds until the next step of any
    run, None when nothing is left to do.
    """

    run: int | None
    moved: int
    next_in: float | None


class Settlement(NamedTuple):
    """An outcome with the delivery and the fence it is for."""

    message_id: UUID
    subscription_id: int
    fence: int
    outcome: Outcome


NOBODY = Lease(None, [], 0)


class Store:
    """One pool of connections, each statement a transaction of its own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._pool = db.Pool(dsn, POOL_SIZE)
        self._kept: dict[str, db.AsyncConnection] = {}
        self._cursors: dict[str, db.AsyncCursor] = {}  # of the hot queries
        self._closing = False

    async def open(self) -> None:
        with db.translated(self._dsn):
            await self._pool.open()

    async def close(self) -> None:
        self._closing = True
        for connection in self._kept.values():
            await self._pool.putconn(connection)
        self._kept.clear()
        self._cursors.clear()
        await self._pool.close()

    # ── subscriptions and workers ───────────────────────────────────────────────

    async def register(self, subscription: Subscription, code_version: str) -> int:
        """Record a subscription; returns its number. It counts from this commit on. Raises `InvalidSubscription`."""
        schema = subscription.payload_schema
        try:
            rows = await self._rows(
                "register",
                (
                    subscription.id, list(subscription.names), subscription.kind.value,
                    json.dumps(subscription.as_columns()), json.dumps(schema) if schema else None,
                    subscription.description, code_version,
                ),
            )  # fmt: skip
        except InvalidMessage as error:
            raise error.recast(InvalidSubscription) from None
        number: int = rows[0][0]
        return number

    async def unregister(self, subscription: str, names: Sequence[str]) -> None:
        """Take names away from a subscription: new messages of them do not reach it."""
        await self._rows("unregister", (subscription, list(names)))

    async def set_key_field(self, key_field: str) -> None:
        """Where the key is found, for emits by Python and by SQL alike."""
        await self._do("set_key_field", {"key_field": key_field})

    async def set_mask_fields(self, fields: Sequence[str]) -> None:
        """The payload's fields that every dashboard masks; a change is audited."""
        await self._do("set_mask_fields", {"fields": list(fields), "actor": "setting"})

    async def set_ref_fields(self, ref_fields: Sequence[str]) -> bool:
        """Where refs are found from now on, for emits by Python and by SQL alike; whether that is a change."""
        (row,) = await self._rows("set_ref_fields", (list(ref_fields),))
        return bool(row[0])

    async def enter(self, worker: str, version: str, hosts: Sequence[int], lease: float) -> int:
        """A worker comes in; returns its id. `lease` in seconds."""
        rows = await self._rows("worker_enter", (worker, version, list(hosts), lease))
        number: int = rows[0][0]
        return number

    async def leave(self, worker: int) -> None:
        await self._do("worker_leave", (worker,))

    # ── emit, claim, settle ─────────────────────────────────────────────────────

    async def emit_many(self, said: Sequence[Said], lease: Lease = NOBODY, *, notifying: bool = False) -> list[Stored]:
        """Store messages, one at least, and their deliveries in one commit, in the order given. notifying: right
        after the commit of a lone one, sleeping workers are woken.

        Raises `InvalidMessage` (nothing is stored) and `OutcomeUnknown` (the connection broke during the commit).
        """
        worker = (lease.worker, _array(lease.hosts), lease.places)
        if len(said) == 1:
            rows = await self._rows(
                "emit_lone", (*said[0], *worker), committing=True, then="notify" if notifying else None
            )
        else:
            names, payloads, *columns = map(list, zip(*said, strict=True))
            values = (names, payloads, *map(_column, columns), *worker)
            rows = await self._rows("emit_many", values, committing=True)
            rows.sort()  # by their place; no two are equal there
        return [Stored._make((*row[-10:-4], row[-4] or (), row[-3] or (), row[-2] or (), row[-1])) for row in rows]

    async def follow(self, seen: str | None, patterns: Sequence[str]) -> tuple[str, list[Logged]]:
        """The snapshot of now, and what has become visible since the snapshot `seen` under names LIKE the patterns.
        Since None: nothing.
        """
        rows = await self._rows("follow", {"seen": seen, "patterns": list(patterns)})
        return rows[0][0], [Logged(*row[1:-1]) for row in rows if row[1] is not None]

    async def claim(
        self, worker: int, subscriptions: Sequence[int], places: int, floors: Sequence[int] | None = None
    ) -> list[Claimed]:
        """Take up to `places` ready deliveries, of the subscriptions in their order; each attempt is counted here.

        floors: by subscription, a fence up to which nothing is looked at.
        """
        values = (worker, list(subscriptions), None if floors is None else list(floors), places)
        return [Claimed._make(row) for row in await self._rows("claim", values)]

    async def claim_alone(self, worker: int, subscriptions: Sequence[int]) -> Claimed | None:
        """Take one delivery that is to run with no neighbours."""
        rows = await self._rows("claim_alone", (worker, list(subscriptions)))
        return Claimed._make(rows[0]) if rows else None

    async def held(self, worker: int) -> list[Claimed]:
        """What the database holds as running under a worker."""
        return [Claimed._make(row) for row in await self._rows("held", (worker,))]

    async def taken_away(self, running: Sequence[Claimed]) -> list[int]:
        """The fences of those that a worker runs and that are no longer its own."""
        columns = [[c.message_id for c in running], [c.subscription_id for c in running], [c.fence for c in running]]
        return [row[0] for row in await self._rows("taken_away", columns)]

    async def settle(
        self, settlements: Sequence[Settlement], worker: str, code_version: str, *, lost: bool = False
    ) -> set[int]:
        """Record outcomes; returns the fences of those that were not stale. lost: these are the outcomes of a worker
        that is gone.
        """
        (row,) = await self._rows("settle", settle_values(settlements, worker, code_version, lost=lost))
        return set(row[0])

    async def keep_result(self, claimed: Claimed, result: str) -> None:
        """The JSON text of what a subscriber returned after it had settled in its own transaction."""
        values = {
            "message": claimed.message_id, "subscription": claimed.subscription_id, "generation": claimed.generation,
            "result": result,
        }  # fmt: skip
        await self._do("keep_result", values)

    async def promote_due(self, places: int) -> tuple[int, float | None]:
        """Make due deliveries ready; returns how many, and the seconds until the next one is due."""
        (row,) = await self._rows("promote_due", (places,))
        return row[0], row[1]

    async def outcomes_of(
        self, message_id: UUID, subscriptions: Sequence[int]
    ) -> Mapping[int, tuple[State | None, str | None, str | None]]:
        """By subscription number: state, error type, error."""
        rows = await self._rows("outcomes_of", {"message": message_id, "subscriptions": list(subscriptions)})
        return {row[0]: (State(row[1]) if row[1] else None, row[2], row[3]) for row in rows}

    # ── rescue and upkeep ───────────────────────────────────────────────────────

    async def retire_workers(self) -> bool:
        """Retire workers whose lease expired; true when there may be deliveries to rescue."""
        (row,) = await self._rows("retire_workers", ())
        return bool(row[0])

    async def orphans(self, places: int) -> list[Orphan]:
        """Deliveries running under no live worker, at most `places`."""
        rows = await self._rows("orphans", (places,))
        return [Orphan(row[0], row[1], row[2], row[3], RetryPolicy.from_json(row[4]), row[5]) for row in rows]

    async def forget_retired(self) -> None:
        """Forget retired workers that hold nothing any more."""
        await self._do("forget_retired", ())

    async def upkeep(self) -> None:
        """Make the partitions of the next three months; forget dedupe keys whose window has ended, old
        previews, and nameless views that nobody uses.
        """
        await self._rows("ensure_partitions", ())
        await self._do("forget_dedupe", ())
        await self._do("forget_previews", ())
        await self._do("forget_views", ())

    async def carry_on(self, places: int) -> Step:
        """One step of the stored run whose turn it is: at most `places` deliveries are sent, in one transaction."""
        return Step._make((await self._rows("carry_on", (places,)))[0])

    async def fold(self, places: int) -> bool:
        """Add what has become visible to the series, about `places` rows of each kind; true when there is more."""
        (row,) = await self._rows("fold", (places,))
        return bool(row[0])

    async def fold_failures(self, places: int) -> bool:
        """Add what has failed to the failure groups, at most `places` failures; true when there is more."""
        (row,) = await self._rows("fold_failures", (places,))
        return bool(row[0])

    async def fold_refs(self, places: int) -> bool:
        """Find the refs of what has become visible, of about `places` messages; true when there is more."""
        (row,) = await self._rows("fold_refs", (places,))
        return bool(row[0])

    async def notify(self) -> None:
        """Wake sleeping workers."""
        await self._rows("notify", ())

    # ── one door ────────────────────────────────────────────────────────────────

    async def _rows(
        self, name: str, values: Sequence[Any] | Mapping[str, Any], *, committing: bool = False, then: str | None = None
    ) -> list[tuple[Any, ...]]:
        connection = await self._take(name)
        try:
            with db.translated(self._dsn, committing=committing):
                return await db.fetch(self._cursor(connection, name), name, values, then=then)
        finally:
            await self._give_back(name, connection)

    async def _do(self, name: str, values: Sequence[Any] | Mapping[str, Any]) -> None:
        await self._rows(name, values)

    async def _take(self, query: str) -> db.AsyncConnection:
        """The hot queries keep their connection from one call to the next: fetching one from the pool takes a tenth of
        a lone emit.
        """
        kept = self._kept.pop(KEPT.get(query, ""), None)
        if kept is not None:
            return kept
        with db.translated(self._dsn):
            return await self._pool.getconn()

    def _cursor(self, connection: db.AsyncConnection, query: str) -> db.AsyncCursor:
        """The hot queries keep their cursor, too, as long as they have the same connection: to make one takes a quarter
        of what the driver does for a lone emit.
        """
        kept = self._cursors.get(query)
        if kept is not None and kept.connection is connection:
            return kept
        made = connection.cursor(binary=True)
        if query in KEPT:
            self._cursors[query] = made
        return made

    async def _give_back(self, query: str, connection: db.AsyncConnection) -> None:
        """One that broke, or was left half-way, goes back to the pool, which replaces it."""
        purpose = KEPT.get(query)
        if purpose and purpose not in self._kept and not self._closing and db.is_idle(connection):
            self._kept[purpose] = connection
        else:
            await self._pool.putconn(connection)


def settle_values(
    settlements: Sequence[Settlement], worker: str, code_version: str, *, lost: bool = False
) -> tuple[Any, ...]:
    """The values of `sql/settle.sql`."""
    outcomes = [s.outcome for s in settlements]
    return (
        [s.message_id for s in settlements], _array(s.subscription_id for s in settlements),
        _array(s.fence for s in settlements),
        _column([None if o.state is State.SUCCEEDED else o.state.value for o in outcomes]),
        _column([o.delay for o in outcomes]), _column([o.result for o in outcomes]),
        _column([o.error_type for o in outcomes]), _column([o.error for o in outcomes]),
        _column([o.frame for o in outcomes]), _column([o.traceback for o in outcomes]),
        _column([o.outage or None for o in outcomes]), worker, code_version, lost,
    )  # fmt: skip


def _array(numbers: Iterable[int]) -> str:
    """An array of PostgreSQL's as text: made by the driver, it takes longer than the rest of a lone emit's values."""
    return f"{{{','.join(map(str, numbers))}}}"


def _column(values: list[T | None]) -> list[T | None] | None:
    """An array, or null in place of an array of nulls: most columns are empty, and cost nothing then."""
    return None if values.count(None) == len(values) else values
