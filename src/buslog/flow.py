"""How much of a subscription may run: its rate, and what it does while the service it calls is down."""

from __future__ import annotations

from dataclasses import dataclass

from buslog.errors import InvalidSubscription


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` attempts may start in `per` seconds, over all workers together, spread evenly.

    Unused starts keep for one `per`: in any t seconds at most `count + count × t ÷ per` start.
    """

    count: int
    per: float = 1.0

    def __post_init__(self) -> None:
        check_range("rate.count", self.count, 1, 1_000_000)
        check_range("rate.per", self.per, 0.001, 86_400)


@dataclass(frozen=True, slots=True)
class Outage:
    """When to believe that what a subscriber calls is down, and how to wait for it.

    After `after` of its attempts in a row, over all workers, raised one of `errors`, the subscription's circuit opens:
    such errors are no longer charged against `max_attempts`, and one delivery at a time is tried as a probe, every
    `probe_every` seconds. The first success closes the circuit, and what waited runs.

    Name only errors that mean "down": behind an open circuit a delivery waits for as long as the outage lasts, and
    nothing of it shows among the failures.
    """

    errors: tuple[type[BaseException], ...]
    after: int = 5
    probe_every: float = 15.0

    def __post_init__(self) -> None:
        if not self.errors:
            raise InvalidSubscription(
                field="outage.errors", rule="names what means that the other side is down", was="nothing",
                mend="Give exception classes, such as ConnectionError.",
            )  # fmt: skip
        check_range("outage.after", self.after, 1, 10_000)
        check_range("outage.probe_every", self.probe_every, 0.05, 3_600)


def check_range(field: str, value: float, low: float, high: float) -> None:
    """Raises `InvalidSubscription` unless low ≤ value ≤ high."""
    if not low <= value <= high:
        raise InvalidSubscription(
            field=field, rule="is in its range", was=str(value), limit=f"{low:g} to {high:g}",
            mend="Give a value in that range.",
        )  # fmt: skip
