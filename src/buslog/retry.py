"""Retry policy: from an attempt to the wait before the next one, or to giving up."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from buslog.flow import check_range

LONGEST_DELAY = 30 * 86_400.0  # seconds between two attempts


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with jitter. Times in seconds.

    After attempt n (from 1) a delivery waits `first_delay × factor ** (n - 1)`, at most `max_delay`, spread evenly
    over ± `jitter` of itself so that what failed together is not retried together. After `max_attempts` it has failed.
    """

    max_attempts: int = 8
    first_delay: float = 5.0
    factor: float = 3.0
    max_delay: float = 3600.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        limits = {
            "max_attempts": (1, 1000), "first_delay": (0, 86_400), "factor": (1, 100), "max_delay": (0, LONGEST_DELAY),
            "jitter": (0, 1),
        }  # fmt: skip
        for field, (low, high) in limits.items():
            check_range(f"retry.{field}", getattr(self, field), low, high)

    def delay_after(self, attempt: int, chance: random.Random | None = None) -> float | None:
        """Seconds until the next attempt after attempt number `attempt` raised; None: give up."""
        if attempt >= self.max_attempts:
            return None
        try:
            delay = min(self.first_delay * self.factor ** (attempt - 1), self.max_delay)
        except OverflowError:
            delay = self.max_delay
        spread = (chance or random).uniform(1 - self.jitter, 1 + self.jitter)
        return float(min(delay * spread, self.max_delay))

    def as_json(self) -> dict[str, Any]:
        """As it is stored with the subscription."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RetryPolicy:
        """From the subscription's row; fields that a newer buslog wrote are passed over."""
        return cls(**{name: stored[name] for name in cls.__dataclass_fields__ if name in stored})
