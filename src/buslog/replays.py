"""Stored runs: replay, run now or cancel of all that a filter finds. Looked at first, as a frozen set; then started,
stopped, and what failed again sent once more. Workers carry a run on (`sending`): nobody has to stay for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlencode
from uuid import UUID

import sqlalchemy

from buslog import db
from buslog.desk import Desk
from buslog.errors import DatabaseUnavailable, InvalidFilter, NotFound, OperationRefused
from buslog.filter import Filter, Range
from buslog.insights import Count, aggregates
from buslog.insights.rows import log_rows
from buslog.message import OPEN_STATES, State

MOST = 20_000  # items of a run
CANARY = 5
UNDO = 10.0  # seconds
LONGEST_UNDO = 3600.0
RATES = (0.01, 10_000.0)  # a second


class Verb(StrEnum):
    """What a run does to each of its deliveries."""

    REPLAY = "replay"
    RUN_NOW = "run now"
    CANCEL = "cancel"


class RunState(StrEnum):
    """States of a stored run. Drawn in docs/states.md."""

    PREVIEWED = "previewed"
    WAITING = "waiting"
    CANARY = "canary"
    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"


class ItemState(StrEnum):
    """What has become of one delivery of a run."""

    WAITING = "waiting"
    SENT = "sent"
    SUCCEEDED = "succeeded"
    FAILED_AGAIN = "failed again"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


# Which deliveries a run may take, and why it passes over the others that its filter finds. A cancelled delivery is
# replayed only where the filter asks for it: somebody has decided that nobody will mend it.
_TAKES: dict[Verb, tuple[State, ...]] = {
    Verb.REPLAY: (State.FAILED, State.CANCELLED),
    Verb.RUN_NOW: (State.RETRYING, State.SCHEDULED),
    Verb.CANCEL: (*OPEN_STATES, State.FAILED),
}
_OTHERS: dict[str, tuple[State, ...]] = {
    "already succeeded": (State.SUCCEEDED,),
    "cancelled": (State.CANCELLED,),
    "failed": (State.FAILED,),
    "in flight": OPEN_STATES,
}


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do, looked at and frozen: `run` starts it.

    eligible: deliveries that it sends. skipped: by reason, how many of the filter's rows it does not.
    superseded: how many of the eligible ones a newer message of their name and key has overtaken, by succeeding with
    the same subscription; None: not found out within the time-out. is_capped: the filter finds more than a run takes;
    these are the oldest of them. cutoff: when the newest message then was emitted; nothing newer is in the set.
    """

    run: int
    verb: Verb
    filter: Filter
    eligible: int
    skipped: Mapping[str, Count]
    superseded: int | None
    oldest: datetime | None
    cutoff: datetime | None
    is_capped: bool


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run. The numbers are its items by state; rate: sent in a second; cutoff: as in `Preview`."""

    id: int
    verb: Verb
    state: RunState
    filter: Filter
    failed_of: int | None
    actor: str
    reason: str | None
    canary: int
    rate: float | None
    waiting: int
    sent: int
    succeeded: int
    failed_again: int
    cancelled: int
    skipped: int
    cutoff: datetime | None
    previewed_at: datetime
    started_at: datetime | None
    begins_at: datetime | None
    ended_at: datetime | None
    stopped_why: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery of a run; `generation` as it was frozen."""

    message_id: UUID
    subscription: str
    generation: int
    state: ItemState
    is_canary: bool
    superseded: bool
    reason: str | None


class Replays(Desk):
    """The stored runs of one database."""

    def preview(self, filter_: Filter, verb: Verb = Verb.REPLAY, *, now: datetime | None = None) -> Preview:
        """Freeze what a filter finds, and say what a run of it would do. Nothing is sent, and a preview that is not
        started within an hour is forgotten.

        Raises `DatabaseUnavailable` when the filter cannot be answered within the time-out, and `InvalidFilter` when it
        asks for states that the verb does nothing to.
        """
        moment = now or datetime.now(UTC)
        filter_ = filter_.between(*filter_.bounds(moment))
        taken = _taken(filter_, verb)
        engine = db.make_engine(self._dsn, size=1)
        try:
            with db.translated(self._dsn), engine.connect() as reading:
                others = _others(reading, filter_, taken, moment)
                rows = log_rows(replace(filter_, states=taken), moment)
                columns = (rows.m.c.id, rows.d.c.subscription_id, rows.d.c.generation)
                found = reading.execute(rows.oldest_first(rows.select(*columns)).limit(MOST + 1)).all()
        finally:
            engine.dispose()
        return self._frozen(filter_, verb, found[:MOST], others, is_capped=len(found) > MOST)

    def preview_failed(self, run: int) -> Preview:
        """The same of what failed again in a run, and has not been sent since. Raises `NotFound`."""
        old = self.run(run)
        with self._transaction("preview") as connection:
            found = connection.execute(db.query("failed_again"), (run,)).fetchall()
        return self._frozen(old.filter, Verb.REPLAY, found, {}, is_capped=False, failed_of=run)

    def start(
        self, run: int, *, reason: str = "", canary: int = CANARY, rate: float | None = None, undo: float = UNDO
    ) -> Run:
        """Start a previewed run, once: a second click finds it started, and changes nothing.

        canary: so many are sent first, and the others only once these have succeeded; 0 for none. Only a replay has
        one. rate: sent in a second, None for no limit. undo: seconds in which `stop` prevents it altogether.
        Raises `OperationRefused` for a set without an eligible delivery, a cancel without a reason, and values out of
        range; `NotFound` for a preview that was forgotten.
        """
        known = self.run(run)
        if known.verb is not Verb.REPLAY:
            canary = 0
        _check_pace(canary, rate, undo)
        if known.verb is Verb.CANCEL and not reason.strip():
            raise OperationRefused(
                field="reason", rule="is given for a cancel of many", mend="Say why nobody is going to mend them."
            )
        if known.state is RunState.PREVIEWED and not known.waiting:
            raise OperationRefused(
                field="run", rule="has a delivery to send", was=f"{known.skipped} skipped",
                mend="Look at why they are skipped, or at another filter.",
            )  # fmt: skip
        values = {"run": run, "actor": self._actor.name, "reason": reason or None, "canary": canary, "rate": rate,
                  "undo": undo}  # fmt: skip
        verb = f"{known.verb} many"
        with self._transaction(verb) as connection:
            demanded = connection.execute(db.query("run_demands"), (run,)).fetchone()
            self._demand_what_commands_do(connection, verb, demanded)
            if connection.execute(db.query("start_run"), values).fetchone() is not None:
                outcome = {"run": run, "deliveries": known.waiting, "filter": _text(known.filter)}
                self._audit(connection, verb, outcome, reason=reason)
        return self.run(run)

    def stop(self, run: int, *, reason: str = "") -> Run:
        """Send nothing more of a run. What was sent goes on, and is followed. Raises `NotFound`, and `OperationRefused`
        for one that has stopped or ended, or was never started.
        """
        with self._transaction("stop") as connection:
            values = {"run": run, "why": f"by {self._actor.name}"}
            stopped = connection.execute(db.query("stop_run"), values).fetchone()
            if stopped is not None:
                self._audit(connection, "stop", {"run": run, "not sent": stopped[0]}, reason=reason)
        found = self.run(run)
        if stopped is None:
            raise OperationRefused(
                field="run", rule="is under way", was=found.state, mend="Reload: it may have ended since you looked."
            )
        return found

    def run(self, run: int) -> Run:
        """A run as it stands. Raises `NotFound`."""
        with self._transaction("look") as connection:
            row = connection.execute(db.query("run_detail"), (run,)).fetchone()
        if row is None:
            raise NotFound(
                field="run", rule="exists", was=str(run),
                mend="A preview that is not started is forgotten after an hour: preview it anew.",
            )  # fmt: skip
        return Run(row[0], Verb(row[1]), RunState(row[2]), _filter(row[3]), *row[4:])

    def items(
        self, run: int, *, state: ItemState | None = None, after: Item | None = None, places: int = 50
    ) -> list[Item]:
        """Items of a run, oldest message first: the first ones, or those after an item."""
        values = {"run": run, "state": state, "message": after and after.message_id,
                  "subscription": after and after.subscription, "places": places}  # fmt: skip
        with self._transaction("look") as connection:
            rows = connection.execute(db.query("run_items"), values).fetchall()
        return [Item(row[0], row[1], row[2], ItemState(row[3]), row[4], row[5], row[6]) for row in rows]

    # ── inside ──────────────────────────────────────────────────────────────────

    def _frozen(
        self, filter_: Filter, verb: Verb, found: Any, others: Mapping[str, Count], *, is_capped: bool,
        failed_of: int | None = None,
    ) -> Preview:  # fmt: skip
        values = {"verb": verb, "filter": _text(filter_), "failed_of": failed_of, "actor": self._actor.name}
        with self._transaction("preview") as connection:
            made = connection.execute(db.query("preview_run"), values).fetchone()
            assert made is not None
            run, cutoff = made
            columns = [[row[place] for row in found] for place in range(3)]
            connection.execute(db.query("freeze"), (run, *columns))
            superseded = self._superseded(connection, run) if verb is Verb.REPLAY else 0
            skipped = {row[0]: Count(row[1]) for row in connection.execute(db.query("preview_skipped"), (run,))}
            oldest = connection.execute(db.query("preview_oldest"), (run,)).fetchone()
        eligible = len(found) - sum(count.value for count in skipped.values())
        return Preview(
            run, verb, filter_, eligible, {**skipped, **others}, superseded, oldest[0] if oldest else None, cutoff,
            is_capped,
        )  # fmt: skip

    def _superseded(self, connection: db.Connection, run: int) -> int | None:
        """A warning alone: where it takes too long, the preview goes without."""
        try:
            with db.translated(self._dsn), connection.transaction():
                connection.execute(f"SET LOCAL statement_timeout = {db.LOOK_MS:d}")
                row = connection.execute(db.query("mark_superseded"), (run,)).fetchone()
                connection.execute("SET LOCAL statement_timeout = 0")
        except DatabaseUnavailable:
            if connection.closed:
                raise
            return None
        assert row is not None
        marked: int = row[0]
        return marked


def _taken(filter_: Filter, verb: Verb) -> tuple[State, ...]:
    """The states of which a run of the filter takes deliveries."""
    if not filter_.states:
        return tuple(state for state in _TAKES[verb] if (verb, state) != (Verb.REPLAY, State.CANCELLED))
    taken = tuple(state for state in filter_.states if state in _TAKES[verb])
    if not taken:
        raise InvalidFilter(
            field="state", rule=f"is one that {verb} does something to", was=", ".join(filter_.states),
            limit=", ".join(_TAKES[verb]), mend="Ask for one of these states.",
        )  # fmt: skip
    return taken


def _others(
    connection: sqlalchemy.Connection, filter_: Filter, taken: tuple[State, ...], moment: datetime
) -> dict[str, Count]:
    """By reason, how many rows of the filter are in states that the run does not take."""
    found = {}
    for reason, states in _OTHERS.items():
        left = tuple(s for s in states if s not in taken and (not filter_.states or s in filter_.states))
        if left and (count := aggregates.count(connection, replace(filter_, states=left), moment)):
            found[reason] = count
    return found


def _check_pace(canary: int, rate: float | None, undo: float) -> None:
    for field, value, low, high in (
        ("canary", canary, 0, MOST), ("undo", undo, 0, LONGEST_UNDO), ("rate", rate, *RATES),
    ):  # fmt: skip
        if value is not None and not low <= value <= high:
            raise OperationRefused(
                field=field, rule="is in its range", was=f"{value:g}", limit=f"{low:g} to {high:g}",
                mend="Give a number of this range.",
            )  # fmt: skip


def _text(filter_: Filter) -> str:
    return urlencode(filter_.to_params(default=Range.ALL), doseq=True)


def _filter(text: str) -> Filter:
    return Filter.from_params(dict(parse_qs(text)), default=Range.ALL)
