"""One look at all rules: what is so, what fires, what is over. A transaction on the connection that holds the lock."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from buslog import db
from buslog.alerting import texts
from buslog.alerting.model import FoundGroup, KeptRule, Reading, Rule, RuleKind
from buslog.errors import BuslogError

log = logging.getLogger("buslog.alerts")


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that a look decided: a rule fired, was told of again, or is over."""

    rule: str
    occasion: str
    what: str


@dataclass(frozen=True, slots=True)
class _Open:
    """An alert that is not over."""

    id: int
    what: str
    since: datetime
    told_at: datetime
    over_since: datetime | None
    groups: list[FoundGroup]


@dataclass(frozen=True, slots=True)
class Terms:
    """How a process looks. over_after: for how long it must be over before that is believed, so that a figure that
    trembles about its threshold does not tell people twice a minute. address: of the dashboard; empty: no links.
    zone: the team's, in which times are told.
    """

    looker: str
    over_after: timedelta
    address: str = ""
    zone: str = "UTC"


def look(connection: db.Connection, terms: Terms) -> list[Happened]:
    """One look, a transaction. Without a rule that is switched on nothing is written."""
    with connection.transaction():
        kept = [one for one in _readable(connection) if one.rule.enabled]
        if not kept:
            return []
        found = [
            FoundGroup(row[0], row[1], row[2], row[3], row[4], row[5], row[6])
            for row in connection.execute(db.query("alert_look"), (terms.looker,))
        ]
        happened = _Look(connection, terms).decide(kept, found)
        connection.execute(db.query("alert_looked"))
        return happened


class _Look:
    """What one look decides, at one moment."""

    def __init__(self, connection: db.Connection, terms: Terms) -> None:
        self._connection = connection
        self._terms = terms
        self._now: datetime = self._rows("alert_watch")[0][0]

    def decide(self, kept: Sequence[KeptRule], found: Sequence[FoundGroup]) -> list[Happened]:
        open_: dict[int, list[_Open]] = defaultdict(list)
        for row in self._rows("alerts_open"):
            groups = [FoundGroup(**group) for group in json.loads(row[6] or "[]")]
            open_[row[0]].append(_Open(row[1], row[2], row[3], row[4], row[5], groups))
        happened: list[Happened] = []
        for one in kept:
            if one.rule.kind is RuleKind.NEW_GROUP:
                happened += self._groups(one, found, open_[one.id])
            else:
                happened += self._condition(one, open_[one.id])
        return happened

    def _condition(self, kept: KeptRule, open_: list[_Open]) -> list[Happened]:
        reading = self._read(kept)
        self._keep(kept, reading.figure, reading.since)
        if open_:
            return self._go_on(kept.rule, open_[0], is_over=not reading.is_true)
        if reading.is_true:
            return [self._fire(kept, reading.what, reading.since or self._now)]
        return []

    def _groups(self, kept: KeptRule, found: Sequence[FoundGroup], open_: list[_Open]) -> list[Happened]:
        new = [group for group in found if group.is_new_to(kept.rule)]
        self._keep(kept, None, self._now if new else None)
        happened = []
        for alert in open_:
            ((waits, nobody_is_on_it),) = self._rows("alert_groups_waiting", groups=_as_json(alert.groups))
            happened += self._go_on(kept.rule, alert, is_over=not waits, is_silent=not nobody_is_on_it)
        if new:
            ((key_field,),) = self._rows("key_field")
            happened.append(self._fire(kept, texts.new_groups(new, key_field), self._now, new))
        return happened

    # ── what is so ──────────────────────────────────────────────────────────────

    def _read(self, kept: KeptRule) -> Reading:
        rule = kept.rule
        if rule.kind is RuleKind.FAILURE_RATE:
            window = rule.window.total_seconds()
            ((failed, succeeded),) = self._rows("alert_failure_rate", window=window, subscription=rule.subscription)
            ended = failed + succeeded
            is_true = bool(ended) and failed >= rule.at_least and failed / ended >= rule.threshold
            since = (kept.true_since or self._now) if is_true else None
            return Reading(failed / ended if ended else None, is_true, since, texts.failure_rate(rule, failed, ended))
        if rule.kind is RuleKind.BACKLOG_AGE:
            rows = self._rows("alert_backlog", subscription=rule.subscription)
            subscription, since, ready = rows[0] if rows else ("", None, 0)
            age = self._now - (since or self._now)
            is_true = age.total_seconds() >= rule.threshold
            figure = age.total_seconds() if rows else None
            return Reading(figure, is_true, since if is_true else None, texts.backlog_age(subscription, age, ready))
        ((workers,),) = self._rows("alert_workers", subscription=rule.subscription)
        if workers:
            return Reading(0.0, is_true=False)
        since = kept.true_since or self._now
        lasting = self._now - since
        is_true = lasting.total_seconds() >= rule.threshold
        return Reading(lasting.total_seconds(), is_true, since, texts.no_worker(rule, lasting))

    # ── what becomes of an alert ────────────────────────────────────────────────

    def _fire(self, kept: KeptRule, what: str, since: datetime, groups: Sequence[FoundGroup] = ()) -> Happened:
        rule = kept.rule
        ((number,),) = self._rows(
            "alert_fire", rule_id=kept.id, rule=rule.name, what=what, since=since, now=self._now,
            groups=_as_json(groups) if groups else None,
        )  # fmt: skip
        self._tell(rule, _Open(number, what, since, self._now, None, list(groups)), "fired", rule.channels)
        return Happened(rule.name, "fired", what)

    def _go_on(self, rule: Rule, alert: _Open, *, is_over: bool, is_silent: bool = False) -> list[Happened]:
        """`is_silent`: it lasts, and nobody need be told again."""
        now = self._now
        over_since = (alert.over_since or now) if is_over else None
        if over_since and now - over_since >= self._terms.over_after:
            told = [row[0] for row in self._rows("alert_hold_back", alert=alert.id)]
            self._tell(rule, alert, "resolved", told)
            self._change(alert, alert.told_at, over_since, over_since)
            return [Happened(rule.name, "resolved", alert.what)]
        is_due = rule.remind is not None and now - alert.told_at >= rule.remind
        if is_due and not is_over and not is_silent and not (rule.quiet and rule.quiet.until(now)):
            self._tell(rule, alert, "again", rule.channels)
            self._change(alert, now, None, None)
            return [Happened(rule.name, "again", alert.what)]
        if over_since != alert.over_since:
            self._change(alert, alert.told_at, over_since, None)
        return []

    def _tell(self, rule: Rule, alert: _Open, occasion: str, channels: Sequence[str]) -> None:
        quiet_until = rule.quiet.until(self._now) if rule.quiet else None
        body = texts.body(
            rule, occasion, alert.what, since=alert.since, now=self._now, address=self._terms.address,
            zone=self._terms.zone, groups=alert.groups,
        )  # fmt: skip
        values = {
            "alert": alert.id, "occasion": occasion, "channels": list(channels), "title": texts.title(rule, occasion),
            "body": body, "now": self._now, "due_at": quiet_until or self._now, "is_held": quiet_until is not None,
        }  # fmt: skip
        self._connection.execute(db.query("alert_notify"), values)

    def _change(
        self, alert: _Open, told_at: datetime, over_since: datetime | None, resolved_at: datetime | None
    ) -> None:
        values = {"alert": alert.id, "told_at": told_at, "over_since": over_since, "resolved_at": resolved_at}
        self._connection.execute(db.query("alert_change"), values)

    def _keep(self, kept: KeptRule, figure: float | None, true_since: datetime | None) -> None:
        values = {"rule": kept.id, "now": self._now, "figure": figure, "true_since": true_since}
        self._connection.execute(db.query("alert_rule_state"), values)

    def _rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(db.query(name), values or None).fetchall()


def _readable(connection: db.Connection) -> Iterator[KeptRule]:
    """One rule that somebody wrote by SQL, and that is none, does not stop the others."""
    for row in connection.execute(db.query("alert_rules")):
        try:
            yield KeptRule.from_row(row)
        except BuslogError as error:
            log.warning("alert rule %s: %s", row[0], error)


def _as_json(groups: Sequence[FoundGroup]) -> str:
    return json.dumps([asdict(group) for group in groups])
