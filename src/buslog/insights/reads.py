"""`Insights`: every read of the dashboard and the CLI, on a small read-only pool with a statement time-out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from buslog import db
from buslog.alerting.model import KeptRule
from buslog.errors import NotFound
from buslog.filter import Filter
from buslog.insights import aggregates, audits, commands, failures, figures, keys, listing, overview, thread, why
from buslog.insights.alerts import HISTORY, Alert, LastLook, alerts
from buslog.insights.audits import AuditCursor, AuditFilter, AuditPage, AuditRow
from buslog.insights.curtain import Curtain
from buslog.insights.ends import Cursor, Ends
from buslog.insights.figures import Subscriber
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
    MessageDetail,
    Note,
    OperationDetail,
    Outside,
    Page,
    SavedView,
    Series,
    Tally,
    ToErase,
)
from buslog.insights.overview import Overview
from buslog.insights.people import PEOPLE_SHOWN, Person, people
from buslog.insights.runs import Item, ItemState, Run, RunSet, item_values, to_item, to_run, to_set
from buslog.insights.shifts import Shift
from buslog.insights.thread import Thread
from buslog.masking import Mask
from buslog.message import DeliveryRef, Kind, Mode, State

PAGE = 50
PAYLOAD_SHOWN = 64_000  # characters of a payload on a screen
NOTES_SHOWN = 200


class Insights:
    """The reads on one database. Every method may raise `DatabaseUnavailable`: down, or too slow for the time-out.

    A moment given as `now` makes ranges and pages repeatable; it is the present when left out.
    """

    def __init__(self, dsn: str, *, statement_timeout_ms: int = 2000) -> None:
        self._dsn = dsn
        self._pool = db.make_reading_pool(dsn, statement_timeout_ms=statement_timeout_ms)
        self._curtain = Curtain()

    def unmasking(self, messages: Iterable[UUID]) -> Insights:
        """The same reads, with the masked values of these messages. `privacy.unmask` says who may."""
        other = copy.copy(self)
        other._curtain = self._curtain.lifted(messages)  # noqa: SLF001  (of our own kind)
        return other

    def mask(self) -> Mask:
        """The payload's fields that are masked."""
        with self._reading(once=True) as connection:
            return self._curtain.mask(connection)

    def close(self) -> None:
        self._pool.dispose()

    # ── the Log ─────────────────────────────────────────────────────────────────

    def page(
        self,
        filter_: Filter,
        *,
        older_than: Cursor | None = None,
        newer_than: Cursor | None = None,
        up_to: Cursor | None = None,
        size: int = PAGE,
        now: datetime | None = None,
    ) -> Page:
        """Rows of the filter, newest first: the newest, those from a cursor's own row on (`up_to`), or the ones next
        to a cursor. No payloads.
        """
        ends = Ends(older_than, newer_than, up_to)
        once = self._curtain.is_open and len(filter_.find) != 1  # one value is found in two ways
        with self._reading(once=once) as connection:
            nearest = listing.listed(connection, filter_, now or _now(), ends, size + 1)
            shown = self._curtain.rows(connection, nearest[:size], lambda row: row.message_id)
        has_more = len(nearest) > size
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

    def newer(self, filter_: Filter, than: Cursor, *, now: datetime | None = None) -> Count:
        """How many rows have come above one, exact to 100."""
        with self._reading() as connection:
            return aggregates.newer(connection, filter_, now or _now(), than)

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
            found = failures.groups(connection, filter_, now or _now(), status)
            return replace(found, groups=self._curtain.groups(connection, found.groups))

    def failure_group(self, filter_: Filter, *, now: datetime | None = None) -> FailureGroup | None:
        """The filter's own group; None when nothing of that cause has ever failed."""
        with self._reading() as connection:
            found = failures.group(connection, filter_, now or _now())
            return self._curtain.groups(connection, [found])[0] if found else None

    def failure_sample(self, fingerprint: str) -> FailureSample | None:
        """A group's newest failure, with its traceback."""
        with self._reading() as connection:
            found = [
                FailureSample(*row)
                for row in _rows(connection, "failure_sample", prepare=True, fingerprint=fingerprint)
            ]
            return next(iter(self._curtain.rows(connection, found, lambda row: row.message_id)), None)

    # ── one message ─────────────────────────────────────────────────────────────

    def message(self, message_id: UUID) -> MessageDetail | None:
        """A message; what is masked of it is hidden."""
        with self._reading() as connection:
            rows = _rows(connection, "message_detail", prepare=True, id=message_id, shown=PAYLOAD_SHOWN)
            found = [MessageDetail(*_typed(row, {1: Kind})) for row in rows]
            return self._curtain.message(connection, found[0], PAYLOAD_SHOWN) if found else None

    def deliveries(self, message_id: UUID) -> list[DeliveryDetail]:
        """Every generation of every delivery; the latest generation of each first."""
        with self._reading() as connection:
            rows = _rows(connection, "message_deliveries", prepare=True, id=message_id)
            found = [DeliveryDetail(*_typed(row, {2: Mode, 5: State})) for row in rows]
            return self._curtain.rows(connection, found, lambda row: row.message_id)

    def attempts(self, message_id: UUID) -> list[AttemptDetail]:
        """The attempts that raised or were lost, at most 500."""
        with self._reading() as connection:
            found = [AttemptDetail(*row) for row in _rows(connection, "message_attempts", prepare=True, id=message_id)]
            return self._curtain.rows(connection, found, lambda _: message_id)

    def operations(self, message_id: UUID) -> list[OperationDetail]:
        """What people did to the message, oldest first, at most 500."""
        return [OperationDetail(*row) for row in self._read("message_operations", prepare=True, id=message_id)]

    def payload(self, message_id: UUID) -> str | None:
        """A message's whole payload, as pretty JSON, without what is masked; None for no such message."""
        with self._reading() as connection:
            text = next(
                (str(row[0]) for row in _rows(connection, "message_payload", prepare=True, id=message_id)), None
            )
            return text and self._curtain.payload(connection, message_id, text)

    def thread(self, correlation_id: UUID, around: UUID) -> Thread:
        """The messages of a correlation id as a causation tree, around one of them."""
        with self._reading() as connection:
            found = thread.thread(connection, correlation_id, around)
            return replace(found, stories=self._curtain.stories(connection, found.stories))

    def why(self, message_ids: Sequence[UUID], *, now: datetime | None = None) -> dict[DeliveryRef, list[why.Cause]]:
        """By open delivery, what keeps it from running, or who is at it."""
        with self._reading() as connection:
            return why.why(connection, message_ids, now or _now())

    def notes(self, about: str, subject: str) -> list[Note]:
        """The latest notes about a key, a message or a failure group, oldest first, at most 200."""
        return [Note(*row) for row in self._read("notes", about=about, subject=subject, places=NOTES_SHOWN)]

    # ── one key ─────────────────────────────────────────────────────────────────

    def key_page(self, key: str, *, after: UUID | None = None, before: UUID | None = None) -> keys.KeyPage:
        """A page of a key's messages, oldest first, with what became of them: the first, or next to a message."""
        with self._reading() as connection:
            found = keys.page(connection, key, after=after, before=before)
            return replace(found, stories=self._curtain.stories(connection, found.stories))

    def key_now(self, key: str, *, now: datetime | None = None) -> keys.KeyNow:
        """What of a key failed or waits, and why."""
        with self._reading() as connection:
            found = keys.now(connection, key, now or _now())
            listed = self._curtain.rows(connection, found.listed, lambda row: row.delivery.message_id)
            return replace(found, listed=listed)

    def near_keys(self, key: str) -> list[str]:
        """Keys that exist and are spelled much like this one."""
        with self._reading() as connection:
            return keys.near(connection, key)

    # ── the bus now ─────────────────────────────────────────────────────────────

    def overview(self, filter_: Filter, *, now: datetime | None = None) -> Overview:
        """The figures of the Overview, all of one snapshot.

        Raises `InvalidFilter` when the filter asks for anything but names, a subscription and a time.
        """
        with self._reading() as connection:
            return overview.read(connection, filter_, now or _now())

    def backlog(self, filter_: Filter | None = None) -> Backlog:
        """What has not ended, of a filter's names and subscription, of any time."""
        with self._reading() as connection:
            return overview.backlog(connection, filter_ or Filter(), _now())

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

    def subscription_names(self) -> list[str]:
        """Every subscription, in alphabetical order."""
        return sorted(row[0] for row in self._read("subscription_names"))

    def names_failing(self) -> set[str]:
        """The names of which a delivery waits as failed."""
        return {row[0] for row in self._read("names_failing")}

    def views(self, who: str) -> list[SavedView]:
        """The named views that somebody sees: their own first, then what others share."""
        return [SavedView(*row) for row in self._read("views", who=who)]

    def view(self, view_id: UUID) -> SavedView:
        """A saved view, named or not. Raises `NotFound`."""
        for row in self._read("view", id=view_id):
            return SavedView(*row)
        raise NotFound(field="view", rule="exists", was=str(view_id), mend="It was deleted, or not used for long.")

    def key_field(self) -> str:
        """The field of payloads that holds the key, such as shipmentId."""
        return str(self._read("key_field")[0][0])

    def people(self) -> list[Person]:
        """Whoever has a role or has logged in, seen last first; at most `PEOPLE_SHOWN`."""
        return people(self._read("people", person=None, places=PEOPLE_SHOWN))

    def person(self, person: str) -> Person | None:
        return next(iter(people(self._read("people", person=person, places=1))), None)

    def alert_rules(self) -> list[KeptRule]:
        """The alert rules in alphabetical order, with what the last look found."""
        return [KeptRule.from_row(row) for row in self._read("alert_rules")]

    def alerts(self, *, rule: str | None = None, before: int | None = None, places: int = HISTORY) -> list[Alert]:
        """What fired, newest first: of one rule or of all, and before an alert's id."""
        return alerts(self._read("alert_history", rule=rule, before=before, places=places))

    def last_look(self) -> LastLook:
        """When alert rules were last looked at."""
        return LastLook(*self._read("alert_watch")[0])

    def commands(self) -> list[Command]:
        """The registered commands, in alphabetical order."""
        with self._reading() as connection:
            return commands.cards(connection)

    def command_runs(self, name: str, *, places: int = 10) -> list[CommandRun]:
        """The latest runs of a command, newest first."""
        with self._reading() as connection:
            return self._of_runs(connection, commands.runs(connection, name, places))

    def command_runs_for(
        self, name: str, keys: Sequence[str], since: datetime, *, places: int = 50
    ) -> list[CommandRun]:
        """Runs of a command for any of these keys since a moment, newest first."""
        with self._reading() as connection:
            return self._of_runs(connection, commands.runs_for(connection, name, keys, since, places))

    def batch_states(self, name: str, batch: UUID) -> dict[State, int]:
        """How far the runs of a command are that were started together."""
        with self._reading() as connection:
            return commands.batch_states(connection, name, batch)

    def batch_runs(self, name: str, batch: UUID, *, places: int = 50) -> list[CommandRun]:
        """Those runs, the failed first, then the open ones."""
        with self._reading() as connection:
            return self._of_runs(connection, commands.batch_runs(connection, name, batch, places))

    def _of_runs(self, connection: db.Connection, runs: list[CommandRun]) -> list[CommandRun]:
        return self._curtain.rows(connection, runs, lambda row: row.message_id)

    # ── people ──────────────────────────────────────────────────────────────────

    def audit(
        self,
        filter_: AuditFilter,
        *,
        older_than: AuditCursor | None = None,
        newer_than: AuditCursor | None = None,
        size: int = PAGE,
        now: datetime | None = None,
    ) -> AuditPage:
        """What people did, newest first."""
        with self._reading() as connection:
            return audits.page(
                connection, filter_, now or _now(), older_than=older_than, newer_than=newer_than, size=size
            )

    def operation(self, number: int) -> AuditRow | None:
        """One row of the audit."""
        with self._reading() as connection:
            return audits.one(connection, number)

    def audit_exists(self, filter_: AuditFilter) -> bool:
        """Whether the filter finds anything at any time."""
        with self._reading() as connection:
            return audits.exists_ever(connection, filter_, _now())

    def audit_choices(self) -> tuple[list[str], list[str], list[str]]:
        """Everybody who ever did anything, everything that was ever done, and every subscription."""
        with self._reading() as connection:
            subscriptions = [row[0] for row in _rows(connection, "subscription_names")]
            return audits.actors(connection), audits.verbs(connection), subscriptions

    def shifts(self, *, places: int = 10) -> list[Shift]:
        """Who is and was on duty, newest first."""
        return [Shift(*row) for row in self._read("duty", places=places)]

    def to_erase(self, key: str) -> ToErase:
        """What an erasure of a key would find."""
        messages, erased, unfinished, runs, _ = self._read("to_erase", key=key)[0]
        return ToErase(messages, erased, unfinished, runs)

    # ── stored runs ─────────────────────────────────────────────────────────────

    def run(self, run: int) -> Run | None:
        """A stored run as it stands; None where there is none."""
        return next((to_run(row) for row in self._read("run_detail", run=run)), None)

    def runs(self, *, before: int | None = None, places: int = PAGE) -> list[Run]:
        """The runs that were started, newest first: the newest, or those before a number."""
        return [to_run(row) for row in self._read("run_list", before=before, places=places)]

    def run_items(
        self, run: int, *, state: ItemState | None = None, after: DeliveryRef | Item | None = None, places: int = PAGE,
        superseded: bool = False,
    ) -> list[Item]:  # fmt: skip
        """Items of a run, oldest message first; superseded: only those that are."""
        values = item_values(run, state=state, after=after, places=places, superseded=superseded)
        return [to_item(row) for row in self._read("run_items", **values)]

    def run_set(self, run: int) -> RunSet:
        """What its items are, counted."""
        return to_set(self._read("run_set", run=run))

    # ── inside ──────────────────────────────────────────────────────────────────

    def _read(self, name: str, *, prepare: bool | None = None, **values: Any) -> list[Any]:
        """The rows of a statement under sql/."""
        with self._reading(once=True) as connection:
            return _rows(connection, name, prepare=prepare, **values)

    @contextmanager
    def _reading(self, *, once: bool = False) -> Iterator[db.Connection]:
        """A connection whose statements see one snapshot: what is folded into the series and what is not make a whole.

        once: for a single statement, which sees one anyway, and is spared two round trips.
        """
        with db.translated(self._dsn), closing(self._pool.connect()) as held:
            connection = cast("db.Connection", held.dbapi_connection)
            if once:
                yield connection
            else:
                with connection.transaction():
                    yield connection


def _rows(connection: db.Connection, name: str, *, prepare: bool | None = None, **values: Any) -> list[Any]:
    """prepare: whatever the values are, one plan serves; as where there are none."""
    return connection.execute(db.query(name), values or None, prepare=prepare or not values or None).fetchall()


def _now() -> datetime:
    return datetime.now(UTC)


def _typed(row: Any, types: dict[int, Callable[[str], Any]]) -> list[Any]:
    """A row's values, those at these places in their type; nothing stays nothing."""
    return [types[place](value) if place in types and value is not None else value for place, value in enumerate(row)]
