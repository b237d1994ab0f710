"""A subscription in words: what its author chose, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

from buslog.console import clock, markup, words
from buslog.flow import Rate
from buslog.insights import Subscriber
from buslog.insights.figures import Policy
from buslog.retry import RetryPolicy


def policy(subscriber: Subscriber) -> list[tuple[str, str]]:
    """Labels and sentences; what is left at its default and says nothing is left out."""
    chosen = subscriber.policy
    return [
        ("Mode", words.MODES[subscriber.mode] + (f", place {chosen.order}" if chosen.order else "")),
        ("Retries", _retries(chosen.retry)),
        ("Time-out", _timeout(chosen)),
        ("At once", f"at most {chosen.concurrency:,}, over all workers" if chosen.concurrency else "no limit"),
        ("Rate", _rate(chosen.rate) if chosen.rate else "no limit"),
        ("Order", _order(chosen)),
        ("Priority", f"{chosen.priority:+d}" if chosen.priority else ""),
        ("Outage", _outage(chosen)),
        ("Bulk replay", f"unsafe: {chosen.unsafe_to_replay}" if chosen.unsafe_to_replay else "allowed"),
    ]


def what_is_wrong(subscriber: Subscriber) -> list[str]:
    """Sentences, the worst first; none when all is well."""
    waiting = words.plural(subscriber.backlog, "delivery")
    wait = f"{waiting} {'waits' if subscriber.backlog == 1 else 'wait'}"
    told = []
    if not subscriber.is_active:
        told.append(words.OFF_THE_BUS)
    elif not subscriber.live_workers:
        told.append(words.NOBODY_HOSTS)
    if subscriber.backlog and not subscriber.live_workers:
        told.append(words.NOBODY_HOSTS_WAITING.format(waiting=wait))
    if subscriber.keeps_emits_waiting:
        told.append(words.KEEPS_EMITS_WAITING.format(names=", ".join(subscriber.names)))
    if subscriber.circuit_opened_at:
        told.append(words.OUTAGE.format(since=f"for {clock.lasted(clock.now() - subscriber.circuit_opened_at)}"))
    if subscriber.paused_at:
        by = f" by {subscriber.paused_by}" if subscriber.paused_by else ""
        why = f": {subscriber.why_paused}" if subscriber.why_paused else ""
        since = f"since {clock.stamp(subscriber.paused_at)} {clock.zone()}"
        told.append(words.PAUSED.format(since=since, by=by, why=why))
    return told


def head(subscriber: Subscriber, hosting: Sequence[str]) -> None:
    """Its name, what it is for, whom it hears, and its policy."""
    markup.heading(subscriber.subscription, before="Command" if subscriber.kind == "command" else "Subscriber")
    if subscriber.description:
        markup.quiet(subscriber.description)
    markup.facts(
        [
            ("Reacts to", ", ".join(subscriber.names) or "nothing any more"),
            ("Code version", subscriber.code_version or "not given (BUSLOG_VERSION)"),
            ("Registered", f"{clock.stamp(subscriber.registered_at)} {clock.zone()}"),
            (
                "Hosted by",
                ", ".join(hosting[:5]) + (f" and {len(hosting) - 5} more" if hosting[5:] else "") or "nobody",
            ),
        ]
    )


def _retries(retry: RetryPolicy) -> str:
    if retry.max_attempts == 1:
        return "none: 1 attempt"
    if not retry.first_delay:
        return f"{retry.max_attempts} attempts, at once"
    first, longest = _seconds(retry.first_delay), _seconds(retry.max_delay)
    growth = f", then ×{retry.factor:g} up to {longest}" if retry.factor > 1 else ""
    return f"{retry.max_attempts} attempts, the second after {first}{growth}"


def _timeout(chosen: Policy) -> str:
    if not chosen.knows_timeout:
        return "not known: registered by SQL, or by an older buslog"
    return "none" if chosen.timeout is None else _seconds(chosen.timeout)


def _rate(rate: Rate) -> str:
    return f"at most {rate.count:,} starts in {_seconds(rate.per)}, over all workers"


def _order(chosen: Policy) -> str:
    after = "what is behind a failure goes on" if chosen.skips_failed else "what is behind a failure waits"
    return f"one of a key at a time; {after}" if chosen.ordered_by_key else "none between messages"


def _outage(chosen: Policy) -> str:
    if not chosen.outage_after:
        return ""
    return f"after {chosen.outage_after} errors in a row, a probe every {_seconds(chosen.outage_probe or 0)}"


def _seconds(seconds: float) -> str:
    """Such as 0.5 s, 60 s, 5 min, 1 h."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size and not seconds % size and seconds != 60:  # noqa: PLR2004
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
