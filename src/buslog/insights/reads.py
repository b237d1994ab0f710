"""`Insights`: every read of the dashboard and the CLI, on a small read-only pool with a statement time-out."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy
from sqlalchemy import Text, cast, func

from buslog import db
from buslog.filter import Filter
from buslog.insights import aggregates, commands, failures, figures
from buslog.insights.model import (
    AttemptDetail,
    Backlog,
    Command,
    CommandRun,
    Count,
    DeliveryDetail,
    FailureGroup,
    FailureGroups,
    FailureSample,
    GroupStatus,
    KnownName,
    LiveWorker,
    LogRow,
    MessageDetail,
    OperationDetail,
    Outside,
    Page,
    Series,
    Subscriber,
    Tally,
    Thread,
    ThreadMessage,
)
from buslog.insights.people import PEOPLE_SHOWN, Person, people
from buslog.insights.rows import Cursor, Rows, log_rows, subscription_mode, subscription_name
from buslog.message import Kind, Mode, State

PAGE = 50
ERROR_SHOWN = 300  # characters of an error in a list
PAYLOAD_SHOWN = 64_000  # characters of a payload on a screen
THREAD_SHOWN = 500  # messages

_LIST_TYPES: dict[int, Callable[[str], Any]] = {2: Kind, 7: Mode, 8: State}


class Insights:
    """The reads on one database. Every method may raise `DatabaseUnavailable`: down, or too slow for the time-out.

    A moment given as `now` makes ranges and pages repeatable; it is the present when left out.
    """

    def __init__(self, dsn: str, *, statement_timeout_ms: int = 2000) -> None:
        self._dsn = dsn
        # What one method reads is of one snapshot: what is folded into the series and what is not make a whole.
        self._engine = db.make_engine(dsn, statement_timeout_ms=statement_timeout_ms).execution_options(
            isolation_level="REPEATABLE READ"
        )
        # A prepared statement may be planned without its values; then no partition is pruned.
        sqlalchemy.event.listen(self._engine, "connect", _never_prepare)

    def close(self) -> None:
        self._engine.dispose()

    # ── the Log ─────────────────────────────────────────────────────────────────

    def page(
        self,
        filter_: Filter,
        *,
        older_than: Cursor | None = None,
        newer_than: Cursor | None = None,
        size: int = PAGE,
        now: datetime | None = None,
    ) -> Page:
        """Rows of the filter, newest first: the newest, or the ones next to a cursor. No payloads."""
        rows = log_rows(filter_, now or _now(), older_than=older_than, newer_than=newer_than)
        query = rows.select(*_list_columns(rows)).limit(size + 1)
        ordered = rows.oldest_first(query) if newer_than else rows.newest_first(query)
        with self._reading() as connection:
            found = [LogRow(*_typed(row, _LIST_TYPES)) for row in connection.execute(ordered)]
        shown, has_more = found[:size], len(found) > size
        if newer_than:
            shown.reverse()
        if not shown:
            return Page([], newer=None, older=None)
        return Page(
            shown,
            newer=shown[0].cursor if older_than or (newer_than and has_more) else None,
            older=shown[-1].cursor if newer_than or has_more else None,
        )

    def count(self, filter_: Filter, *, now: datetime | None = None) -> Count:
        """How many rows, exact to 10,000."""
        with self._reading() as connection:
            return aggregates.count(connection, filter_, now or _now())

    def tally(self, filter_: Filter, *, now: datetime | None = None) -> Tally:
        """How many rows, messages, names and keys."""
        with self._reading() as connection:
            return aggregates.tally(connection, filter_, now or _now())

    def outside(self, filter_: Filter, *, now: datetime | None = None) -> Outside:
        """How many rows the same filter has before and after its time."""
        with self._reading() as connection:
            return aggregates.outside(connection, filter_, now or _now())

    def by_state(self, filter_: Filter, *, now: datetime | None = None) -> dict[State, int]:
        """How many rows are in each state."""
        with self._reading() as connection:
            return aggregates.by_state(connection, filter_, now or _now())

    def series(self, filter_: Filter, *, now: datetime | None = None) -> Series:
        """Messages, errors and failures over the filter's time, each by the time its message was emitted."""
        with self._reading() as connection:
            return aggregates.series(connection, filter_, now or _now())

    def failure_groups(
        self, filter_: Filter, *, status: GroupStatus | None = None, now: datetime | None = None
    ) -> FailureGroups:
        """Failed deliveries of the filter by cause, the largest group first; of one status, or of all."""
        with self._reading() as connection:
            return failures.groups(connection, filter_, now or _now(), status)

    def failure_group(self, filter_: Filter, *, now: datetime | None = None) -> FailureGroup | None:
        """The filter's own group; None when nothing of that cause has ever failed."""
        with self._reading() as connection:
            return failures.group(connection, filter_, now or _now())

    def failure_sample(self, fingerprint: str) -> FailureSample | None:
        """A group's newest failure, with its traceback."""
        return next((FailureSample(*row) for row in self._read("failure_sample", fingerprint=fingerprint)), None)

    # ── one message ─────────────────────────────────────────────────────────────

    def message(self, message_id: UUID) -> MessageDetail | None:
        rows = self._read("message_detail", id=message_id, shown=PAYLOAD_SHOWN)
        return next((MessageDetail(*_typed(row, {1: Kind})) for row in rows), None)

    def deliveries(self, message_id: UUID) -> list[DeliveryDetail]:
        """Every generation of every delivery; the latest generation of each first."""
        rows = self._read("message_deliveries", id=message_id)
        return [DeliveryDetail(*_typed(row, {2: Mode, 5: State})) for row in rows]

    def attempts(self, message_id: UUID) -> list[AttemptDetail]:
        """The attempts that raised or were lost, at most 500."""
        return [AttemptDetail(*row) for row in self._read("message_attempts", id=message_id)]

    def operations(self, message_id: UUID) -> list[OperationDetail]:
        """What people did to the message, oldest first, at most 500."""
        return [OperationDetail(*row) for row in self._read("message_operations", id=message_id)]

    def thread(self, correlation_id: UUID) -> Thread:
        """The messages of a correlation id as a causation tree, at most `THREAD_SHOWN` of them."""
        rows = self._read("thread", correlation_id=correlation_id, places=THREAD_SHOWN + 1)
        return Thread(_as_tree(rows[:THREAD_SHOWN]), is_capped=len(rows) > THREAD_SHOWN)

    # ── the bus now ─────────────────────────────────────────────────────────────

    def backlog(self) -> Backlog:
        rows = self._read("backlog")
        return Backlog({State(row[0]): row[1] for row in rows}, rows[0][2] if rows else None)

    def subscribers(self, filter_: Filter, *, now: datetime | None = None) -> list[Subscriber]:
        """The subscriptions on the bus, in alphabetical order, with their figures over the filter's time.

        Raises `InvalidFilter` when the filter asks for anything but a time and a subscription.
        """
        with self._reading() as connection:
            return figures.subscribers(connection, filter_, now or _now())

    def live_workers(self) -> list[LiveWorker]:
        return [LiveWorker(*row) for row in self._read("live_workers")]

    def names(self) -> list[KnownName]:
        """Every name ever seen, in alphabetical order."""
        return [KnownName(*_typed(row, {1: Kind})) for row in self._read("known_names")]

    def key_field(self) -> str:
        """The field of payloads that holds the key, such as shipmentId."""
        return str(self._read("key_field")[0][0])

    def people(self) -> list[Person]:
        """Whoever has a role or has logged in, seen last first; at most `PEOPLE_SHOWN`."""
        return people(self._read("people", person=None, places=PEOPLE_SHOWN))

    def person(self, person: str) -> Person | None:
        return next(iter(people(self._read("people", person=person, places=1))), None)

    def commands(self) -> list[Command]:
        """The registered commands, in alphabetical order."""
        with self._reading() as connection:
            return commands.cards(connection)

    def command_runs(self, name: str, *, places: int = 10) -> list[CommandRun]:
        """The latest runs of a command, newest first."""
        with self._reading() as connection:
            return commands.runs(connection, name, places)

    def command_runs_for(
        self, name: str, keys: Sequence[str], since: datetime, *, places: int = 50
    ) -> list[CommandRun]:
        """Runs of a command for any of these keys since a moment, newest first."""
        with self._reading() as connection:
            return commands.runs_for(connection, name, keys, since, places)

    def batch_states(self, name: str, batch: UUID) -> dict[State, int]:
        """How far the runs of a command are that were started together."""
        with self._reading() as connection:
            return commands.batch_states(connection, name, batch)

    def batch_runs(self, name: str, batch: UUID, *, places: int = 50) -> list[CommandRun]:
        """Those runs, the failed first, then the open ones."""
        with self._reading() as connection:
            return commands.batch_runs(connection, name, batch, places)

    # ── inside ──────────────────────────────────────────────────────────────────

    def _read(self, name: str, **values: Any) -> list[Any]:
        """The rows of a statement under sql/."""
        with self._reading() as connection:
            return list(connection.exec_driver_sql(db.query(name), values or None))

    @contextmanager
    def _reading(self) -> Iterator[sqlalchemy.Connection]:
        with db.translated(self._dsn), self._engine.connect() as connection:
            yield connection


def _now() -> datetime:
    return datetime.now(UTC)


def _never_prepare(connection: Any, _record: Any) -> None:
    connection.prepare_threshold = None


def _list_columns(rows: Rows) -> tuple[Any, ...]:
    m, d = rows.m.c, rows.d.c
    return (
        m.id, d.subscription_id, cast(m.kind, Text), m.name, m.key, m.emitted_at,
        subscription_name(d.subscription_id), subscription_mode(d.subscription_id), d.state, d.generation, d.attempts,
        d.error_type, func.left(d.error, ERROR_SHOWN), d.finished_at,
    )  # fmt: skip


def _typed(row: Any, types: dict[int, Callable[[str], Any]]) -> list[Any]:
    """A row's values, those at these places in their type; nothing stays nothing."""
    return [types[place](value) if place in types and value is not None else value for place, value in enumerate(row)]


def _as_tree(rows: list[Any]) -> list[ThreadMessage]:
    """Roots and their descendants, depth first; what one message caused in the order it was emitted."""
    known = {row[0] for row in rows}
    caused: dict[UUID | None, list[Any]] = defaultdict(list)
    for row in rows:
        # The cause may lie beyond the cap, or be gone: then the message stands as a root.
        caused[row[5] if row[5] in known else None].append(row)
    tree = []
    waiting = [(row, 0) for row in reversed(caused[None])]
    while waiting:
        row, depth = waiting.pop()
        states = {State(state): number for state, number in json.loads(row[6]).items()}
        tree.append(ThreadMessage(*_typed((*row[:5], depth, states), {1: Kind})))
        waiting.extend((child, depth + 1) for child in reversed(caused[row[0]]))
    return tree
