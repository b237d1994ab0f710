"""An alert rule, its quiet hours, and what is true of it now. No I/O."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from buslog.errors import InvalidMessage, InvalidRule
from buslog.payload import check_name

LONGEST = timedelta(hours=24)  # what the looks remember
SHORTEST = timedelta(minutes=1)
MOST_CHANNELS = 20
NAME_OF_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


class RuleKind(StrEnum):
    """What a rule looks at."""

    FAILURE_RATE = "failure rate"
    BACKLOG_AGE = "backlog age"
    NEW_GROUP = "new failure group"
    NO_WORKER = "no live worker"


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours of the day in which nothing is sent, on the clocks of a zone. They may span midnight."""

    start: time
    end: time
    zone: str = "UTC"

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours that `now` lies in end; None outside of them."""
        local = now.astimezone(ZoneInfo(self.zone))
        at = local.time()
        spans = self.start > self.end
        inside = (at >= self.start or at < self.end) if spans else self.start <= at < self.end
        if not inside:
            return None
        day = local.date() + timedelta(days=1 if spans and at >= self.start else 0)
        return datetime.combine(day, self.end, ZoneInfo(self.zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert rule. Raises `InvalidRule` for what cannot be kept.

    threshold: failure rate: a share of 0 to 1; backlog age and no live worker: seconds; else unused.
    window: failure rate: how far back; new failure group: an error unseen for so long is new again; else unused.
    at_least: failure rate: with fewer failures it does not fire. subscription: this one alone.
    remind: told again every so long while it lasts; None: once.
    """

    name: str
    kind: RuleKind
    threshold: float = 0.0
    window: timedelta = timedelta(minutes=15)
    at_least: int = 5
    subscription: str | None = None
    channels: tuple[str, ...] = ()
    quiet: Quiet | None = None
    remind: timedelta | None = timedelta(hours=4)
    enabled: bool = True

    def __post_init__(self) -> None:
        try:
            check_name(self.name)
            if self.subscription is not None:
                check_name(self.subscription)
        except InvalidMessage as error:
            raise error.recast(InvalidRule) from None
        self._check_figures()
        if len(self.channels) > MOST_CHANNELS:
            raise _invalid("channels", "are a few", f"{len(self.channels)}", f"{MOST_CHANNELS}")
        for channel in self.channels:
            check_channel(channel)
        if self.remind is not None and not SHORTEST <= self.remind <= timedelta(days=7):
            raise _invalid("remind", "is at least a minute", f"{self.remind}", "1 minute to 7 days")
        if self.quiet is not None:
            check_zone(self.quiet.zone)
            if self.quiet.start == self.quiet.end:
                raise _invalid("quiet", "leaves some time", mend="Switch the rule off instead.")

    def _check_figures(self) -> None:
        if not math.isfinite(self.threshold):
            raise _invalid("threshold", "is a number", str(self.threshold))
        if self.kind is RuleKind.FAILURE_RATE:
            if not 0 < self.threshold <= 1:
                raise _invalid("threshold", "is a share", f"{self.threshold:.0%}", "more than 0 %, up to 100 %")
            if not SHORTEST <= self.window <= LONGEST:
                raise _invalid("window", "is a time that is remembered", str(self.window), "1 minute to 24 hours")
            if not 1 <= self.at_least <= 1_000_000:  # noqa: PLR2004
                raise _invalid("at least", "is a number of failures", str(self.at_least), "1 to 1,000,000")
        elif self.kind is RuleKind.NEW_GROUP:
            if not SHORTEST <= self.window <= timedelta(days=365):
                raise _invalid("window", "is a time to forget in", str(self.window), "1 minute to 365 days")
        elif not 1 <= self.threshold <= LONGEST.total_seconds():
            raise _invalid("threshold", "is a time", f"{self.threshold:g} s", "1 second to 24 hours")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one look found of a rule: the figure in the threshold's unit, whether it is so, since when, in words."""

    figure: float | None
    is_true: bool
    since: datetime | None = None
    what: str = ""


@dataclass(frozen=True, slots=True)
class FoundGroup:
    """Failures of one failure group and subscription, of one look. unseen_for: seconds; None: never seen before."""

    fingerprint: str
    subscription: str
    error_type: str
    failures: int
    unseen_for: float | None
    first_message: str
    key: str | None = None

    def is_new_to(self, rule: Rule) -> bool:
        """Whether a rule for new failure groups fires for it."""
        if rule.subscription not in {None, self.subscription}:
            return False
        return self.unseen_for is None or self.unseen_for >= rule.window.total_seconds()


@dataclass(frozen=True, slots=True)
class KeptRule:
    """A rule as the database has it, with what the last look found."""

    id: int
    rule: Rule
    checked_at: datetime | None = None
    figure: float | None = None
    true_since: datetime | None = None
    firing_since: datetime | None = None
    last_fired: datetime | None = None

    @classmethod
    def from_row(cls, row: Any) -> KeptRule:
        """A row of sql/alert_rules.sql."""
        quiet = Quiet(row[8], row[9], row[10]) if row[8] is not None else None
        rule = Rule(
            row[1], RuleKind(row[2]), row[3], timedelta(seconds=row[5]), row[4], row[6], tuple(row[7]), quiet,
            None if row[11] is None else timedelta(seconds=row[11]), row[12],
        )  # fmt: skip
        return cls(row[0], rule, *row[13:18])


def check_channel(name: str) -> str:
    """Raises `InvalidRule` unless it can be a channel's name."""
    if not NAME_OF_CHANNEL.fullmatch(name):
        # Never the text itself: somebody may have put the URL here.
        raise _invalid(
            "channel", "is the name of a channel", "something else", "40 letters, digits, _ . -",
            "Its URL belongs into BUSLOG_ALERT_CHANNELS.",
        )  # fmt: skip
    return name


def check_zone(name: str) -> str:
    """Raises `InvalidRule` unless it is a time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _invalid("zone", "is a time zone", name, mend="Write it as Europe/Berlin, or UTC.") from None
    return name


def _invalid(field_: str, rule: str, was: str = "", limit: str = "", mend: str = "Correct it.") -> InvalidRule:
    return InvalidRule(field=field_, rule=rule, was=was, limit=limit, mend=mend)
