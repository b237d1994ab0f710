"""Stored runs: replay, run now or cancel of all that a filter finds. Looked at first, as a frozen set; then started,
stopped, and what failed again sent once more. Workers carry a run on (`sending`): nobody has to stay for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from buslog import db
from buslog.desk import Desk
from buslog.errors import DatabaseUnavailable, InvalidFilter, NotFound, OperationRefused
from buslog.filter import Filter
from buslog.insights import Count, aggregates
from buslog.insights.rows import frozen_set
from buslog.insights.runs import (
    Item,
    ItemState,
    Run,
    RunSet,
    RunState,
    Verb,
    filter_text,
    item_values,
    to_item,
    to_run,
)
from buslog.insights.statements import composed
from buslog.message import OPEN_STATES, DeliveryRef, Kind, State

__all__ = ["Caused", "Item", "ItemState", "Preview", "Replays", "Run", "RunSet", "RunState", "Verb"]

MOST = 20_000  # items of a run
CANARY = 5
UNDO = 10.0  # seconds
LONGEST_UNDO = 3600.0
RATES = (0.01, 10_000.0)  # a second


# Which deliveries a run may take, and why it passes over the others that its filter finds. What was cancelled, or has
# succeeded, is replayed only where the filter asks for it: nobody sends it again by accident.
TAKES: dict[Verb, tuple[State, ...]] = {
    Verb.REPLAY: (State.FAILED, State.CANCELLED, State.SUCCEEDED),
    Verb.RUN_NOW: (State.RETRYING, State.SCHEDULED),
    Verb.CANCEL: (*OPEN_STATES, State.FAILED),
}
_OTHERS: dict[str, tuple[State, ...]] = {
    "already succeeded": (State.SUCCEEDED,),
    "cancelled": (State.CANCELLED,),
    "failed": (State.FAILED,),
    "in flight": OPEN_STATES,
}


_ONLY_ASKED = {(Verb.REPLAY, State.CANCELLED), (Verb.REPLAY, State.SUCCEEDED)}


@dataclass(frozen=True, slots=True)
class Caused:
    """Messages of one name that others have caused."""

    name: str
    kind: Kind
    messages: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do, looked at and frozen: `run` starts it.

    eligible: deliveries that it sends, by subscription in `subscriptions`; `again` of them had succeeded. is_selected:
    picked by hand from a list of the filter. skipped: by reason, how many of the filter's rows it does not.
    superseded: how many of the eligible ones a newer message of their name and key has overtaken, by succeeding with
    the same subscription. caused: what the messages of the eligible ones have caused until now, directly or not, the
    most first. Both are None where they could not be found out within the time-out. is_capped: the filter finds more
    than a run takes; these are the oldest of them. cutoff: when the newest message then was emitted; nothing newer is
    in the set.
    """

    run: int
    verb: Verb
    filter: Filter
    is_selected: bool
    eligible: int
    subscriptions: Mapping[str, int]
    again: int
    skipped: Mapping[str, Count]
    superseded: int | None
    caused: Sequence[Caused] | None
    oldest: datetime | None
    cutoff: datetime | None
    is_capped: bool


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
        taken = takes(filter_, verb)
        with db.connect_to_read(self._dsn) as reading, db.translated(self._dsn):
            others = _others(reading, filter_, taken, moment)
            query = frozen_set(replace(filter_, states=taken), moment).limit(MOST + 1)
            found = composed(query).on(reading, {}).fetchall()
        return self._frozen(filter_, verb, found[:MOST], others, is_capped=len(found) > MOST)

    def preview_selected(
        self, deliveries: Sequence[DeliveryRef], verb: Verb = Verb.REPLAY, *, filter_: Filter | None = None
    ) -> Preview:
        """The same of deliveries that were picked by hand, whatever state the filter of their list asks for. Raises
        `OperationRefused` where there are more than a run takes.
        """
        if len(deliveries) > MOST:
            raise OperationRefused(
                field="deliveries", rule="are no more than a run takes", was=f"{len(deliveries):,}", limit=f"{MOST:,}",
                mend="Take fewer, or all that a filter finds.",
            )  # fmt: skip
        values = ([ref.message_id for ref in deliveries], [ref.subscription for ref in deliveries])
        with self._transaction("preview") as connection:
            rows = connection.execute(db.query("picked"), values).fetchall()
        others: dict[str, Count] = {}
        for reason, states in _OTHERS.items():
            number = sum(row[3] in states and State(row[3]) not in TAKES[verb] for row in rows)
            others |= {reason: Count(number)} if number else {}
        found = [row for row in rows if State(row[3]) in TAKES[verb]]
        return self._frozen(filter_ or Filter(), verb, found, others, is_capped=False, is_selected=True)

    def preview_failed(self, run: int) -> Preview:
        """The same of what failed again in a run, and has not been sent since. Raises `NotFound`."""
        old = self.run(run)
        with self._transaction("preview") as connection:
            found = connection.execute(db.query("failed_again"), (run,)).fetchall()
        return self._frozen(old.filter, Verb.REPLAY, found, {}, is_capped=False, failed_of=run)

    def preview_rest(self, run: int) -> Preview:
        """The same of what a stopped run did not send, with its verb. What has moved on since is passed over. Raises
        `NotFound`, and `OperationRefused` for a run that was not stopped.
        """
        old = self.run(run)
        if old.state is not RunState.STOPPED:
            raise OperationRefused(field="run", rule="was stopped", was=old.state, mend="Stop it first, or let it end.")
        with self._transaction("preview") as connection:
            rows = connection.execute(db.query("not_sent"), (run,)).fetchall()
        found = [row for row in rows if State(row[3]) in TAKES[old.verb]]
        moved_on = old.waiting - len(found)
        others = {"moved on": Count(moved_on)} if moved_on else {}
        return self._frozen(old.filter, old.verb, found, others, is_capped=False, rest_of=run)

    def start(
        self, run: int, *, reason: str = "", canary: int = CANARY, rate: float | None = None, undo: float = UNDO,
        leave_superseded: bool = False,
    ) -> Run:  # fmt: skip
        """Start a previewed run, once: a second click finds it started, and changes nothing.

        canary: so many are sent first, and the others only once these have succeeded; 0 for none. Only a replay has
        one. rate: sent in a second, None for no limit. undo: seconds in which `stop` prevents it altogether.
        leave_superseded: what a newer message has overtaken is skipped.
        Raises `OperationRefused` for a set without an eligible delivery, a cancel, or a replay of what has succeeded,
        without a reason, and values out of range; `NotFound` for a preview that was forgotten.
        """
        known = self.run(run)
        if known.verb is not Verb.REPLAY:
            canary = 0
        _check_pace(canary, rate, undo)
        if known.verb is Verb.CANCEL and not reason.strip():
            raise OperationRefused(
                field="reason", rule="is given for a cancel of many", mend="Say why nobody is going to mend them."
            )
        if known.again and not reason.strip():
            raise OperationRefused(
                field="reason", rule="is given for a replay of what has succeeded", was=f"{known.again} have succeeded",
                mend="Say why they are sent again.",
            )  # fmt: skip
        if known.state is RunState.PREVIEWED and not known.waiting:
            raise _nothing_to_send(known.skipped)
        values = {"run": run, "actor": self._actor.name, "reason": reason or None, "canary": canary, "rate": rate,
                  "undo": undo}  # fmt: skip
        verb = f"{known.verb} many"
        with self._transaction(verb) as connection:
            demanded = connection.execute(db.query("run_demands"), (run,)).fetchone()
            self._demand_what_commands_do(connection, verb, demanded)
            if connection.execute(db.query("start_run"), values).fetchone() is not None:
                deliveries = known.waiting
                if leave_superseded:
                    row = connection.execute(db.query("leave_superseded"), {"run": run}).fetchone()
                    deliveries = row[0] if row else 0
                    if not deliveries:
                        raise _nothing_to_send(known.skipped + known.waiting)
                outcome = {"run": run, "deliveries": deliveries, "filter": filter_text(known.filter)}
                self._audit(connection, verb, outcome, reason=reason)
            return self._run(connection, run)

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
            return self._run(connection, run)

    def runs(self, *, before: int | None = None, places: int = 50) -> list[Run]:
        """The runs that were started, newest first: the newest, or those before a number."""
        with self._transaction("look") as connection:
            rows = connection.execute(db.query("run_list"), {"before": before, "places": places}).fetchall()
        return [to_run(row) for row in rows]

    def items(
        self, run: int, *, state: ItemState | None = None, after: Item | None = None, places: int = 50
    ) -> list[Item]:
        """Items of a run, oldest message first: the first ones, or those after an item."""
        with self._transaction("look") as connection:
            values = item_values(run, state=state, after=after, places=places)
            return [to_item(row) for row in connection.execute(db.query("run_items"), values)]

    # ── inside ──────────────────────────────────────────────────────────────────

    def _run(self, connection: db.Connection, run: int) -> Run:
        row = connection.execute(db.query("run_detail"), {"run": run}).fetchone()
        if row is None:
            raise NotFound(
                field="run", rule="exists", was=str(run),
                mend="A preview that is not started is forgotten after an hour: preview it anew.",
            )  # fmt: skip
        return to_run(row)

    def _frozen(
        self, filter_: Filter, verb: Verb, found: Any, others: Mapping[str, Count], *, is_capped: bool,
        failed_of: int | None = None, rest_of: int | None = None, is_selected: bool = False,
    ) -> Preview:  # fmt: skip
        values = {"verb": verb, "filter": filter_text(filter_), "failed_of": failed_of, "rest_of": rest_of,
                  "is_selected": is_selected, "actor": self._actor.name}  # fmt: skip
        is_replay = verb is Verb.REPLAY
        with ThreadPoolExecutor(max_workers=1) as beside, self._transaction("preview") as connection:
            causing = beside.submit(self._caused, found) if is_replay else None
            made = connection.execute(db.query("preview_run"), values).fetchone()
            assert made is not None
            run, cutoff = made
            connection.execute(db.query("freeze"), (run, *([row[place] for row in found] for place in range(4))))
            skipped = {row[0]: Count(row[1]) for row in connection.execute(db.query("preview_skipped"), (run,))}
            subscriptions: dict[str, int] = dict(
                connection.execute(db.query("preview_subscriptions"), (run,)).fetchall()
            )
            oldest = connection.execute(db.query("preview_oldest"), (run,)).fetchone()
            frozen = self._run(connection, run)
            superseded = self._superseded(connection, run) if is_replay else 0
        return Preview(
            run, verb, filter_, is_selected, sum(subscriptions.values()), subscriptions, frozen.again,
            {**skipped, **others}, superseded, causing.result() if causing else [], oldest[0] if oldest else None,
            cutoff, is_capped,
        )  # fmt: skip

    def _superseded(self, connection: db.Connection, run: int) -> int | None:
        """How many of a set are superseded; marks them. None where that takes too long: the set goes without."""
        try:
            with connection.transaction():
                (marked,) = self._bounded(connection, "mark_superseded", (run,))
        except DatabaseUnavailable:
            if connection.closed:
                raise
            return None
        number: int = marked[0]
        return number

    def _caused(self, found: Sequence[Any]) -> list[Caused] | None:
        """What a set has caused, looked for while it is frozen: each reads much of the log. None where it takes too
        long.
        """
        with db.connect(self._dsn) as connection:
            try:
                rows = self._bounded(connection, "caused_by", ([row[0] for row in found], [row[1] for row in found]))
            except DatabaseUnavailable:
                if connection.closed:
                    raise
                return None
        return [Caused(name, Kind(kind), number) for name, kind, number in rows]

    def _bounded(self, connection: db.Connection, name: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """A hint, within the time-out of a look."""
        with db.translated(self._dsn):
            connection.execute(f"SET statement_timeout = {db.LOOK_MS:d}")
            return connection.execute(db.query(name), values).fetchall()


def _nothing_to_send(skipped: int) -> OperationRefused:
    return OperationRefused(
        field="run", rule="has a delivery to send", was=f"{skipped} skipped",
        mend="Look at why they are skipped, or at another filter.",
    )  # fmt: skip


def takes(filter_: Filter, verb: Verb) -> tuple[State, ...]:
    """The states of which a run of the filter takes deliveries. Raises `InvalidFilter` where there is none."""
    if not filter_.states:
        return tuple(state for state in TAKES[verb] if (verb, state) not in _ONLY_ASKED)
    taken = tuple(state for state in filter_.states if state in TAKES[verb])
    if not taken:
        raise InvalidFilter(
            field="state", rule=f"is one that {verb} does something to", was=", ".join(filter_.states),
            limit=", ".join(TAKES[verb]), mend="Ask for one of these states.",
        )  # fmt: skip
    return taken


def _others(connection: db.Connection, filter_: Filter, taken: tuple[State, ...], moment: datetime) -> dict[str, Count]:
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
