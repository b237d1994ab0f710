"""What an alert says: what, since when, its numbers, a link. The key is the only thing of a message in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from buslog.alerting.model import FoundGroup, Rule, RuleKind
from buslog.filter import Filter
from buslog.message import State

GROUPS_TOLD = 10
MANY = 10_000
OCCASIONS = {"fired": "fires", "again": "still fires", "resolved": "is over"}


def failure_rate(rule: Rule, failed: int, ended: int) -> str:
    """Such as: 12 of 80 deliveries (15.0 %) failed within 15 min, of emails:send."""
    share = f" ({failed / ended:.1%})" if ended else ""
    return f"{failed:,} of {ended:,} deliveries{share} failed within {lasted(rule.window)}{_of(rule.subscription)}"


def backlog_age(subscription: str, age: timedelta, ready: int) -> str:
    number = f"{MANY:,}+" if ready > MANY else f"{ready:,}"
    return f"A delivery of {subscription} has been waiting for a worker for {lasted(age)}; {number} are ready"


def no_worker(rule: Rule, lasting: timedelta) -> str:
    hosts = f" hosts {rule.subscription}" if rule.subscription else " is running"
    return f"No live worker{hosts}, for {lasted(lasting)}: what is emitted waits"


def new_groups(groups: Sequence[FoundGroup], key_field: str) -> str:
    told = "; ".join(_group(group, key_field) for group in groups[:GROUPS_TOLD])
    more = f"; and {len(groups) - GROUPS_TOLD} more" if len(groups) > GROUPS_TOLD else ""
    return f"New failures: {told}{more}"


def _group(group: FoundGroup, key_field: str) -> str:
    key = f", {key_field} {group.key}" if group.key else ""
    return f"{group.error_type or 'an error without a type'} in {group.subscription} ({group.failures:,}{key})"


def title(rule: Rule, occasion: str) -> str:
    return f"buslog: {rule.name} {OCCASIONS[occasion]}"


def body(
    rule: Rule, occasion: str, what: str, *, since: datetime, now: datetime, address: str, zone: str,
    groups: Sequence[FoundGroup] = (),
) -> str:  # fmt: skip
    """The lines below the title. address: of the dashboard; empty: no link. zone: of the team."""
    lines = [f"{what}."]
    if occasion == "resolved":
        lines = [f"It was: {what}.", f"Over since {stamp(now, zone)}, after {lasted(now - since)}."]
    else:
        lines.append(f"Since {stamp(since, zone)}.")
    if address:
        lines.append(link(rule, address, groups))
    return "\n".join(lines)


def link(rule: Rule, address: str, groups: Sequence[FoundGroup] = ()) -> str:
    """The page that shows it, with its filter."""
    page, filter_ = where(rule, groups)
    query = urlencode(filter_.to_params(), doseq=True) if page else ""
    return f"{address.rstrip('/')}/{page}{f'?{query}' if query else ''}"


def where(rule: Rule, groups: Sequence[FoundGroup] = ()) -> tuple[str, Filter]:
    """The same as a page, empty for the Overview, and its filter."""
    match rule.kind:
        case RuleKind.NO_WORKER:
            return "", Filter()
        case RuleKind.BACKLOG_AGE:
            return "log", Filter(subscription=rule.subscription, states=(State.PENDING,))
        case RuleKind.NEW_GROUP if len({group.fingerprint for group in groups}) == 1:
            return "failures", Filter(group=groups[0].fingerprint)
        case _:
            return "failures", Filter(subscription=rule.subscription)


def stamp(moment: datetime, zone: str) -> str:
    """Such as 2026-11-24 14:05 Europe/Berlin."""
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def lasted(length: timedelta) -> str:
    """Such as 45 s, 5 min, 3 h, 2 days."""
    seconds = max(length.total_seconds(), 0)
    for unit, size, limit in (("s", 1, 90), ("min", 60, 90 * 60), ("h", 3600, 48 * 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def _of(subscription: str | None) -> str:
    return f", of {subscription}" if subscription else ""
