"""Below which fence a worker need not look for what is ready.

A long transaction elsewhere keeps dead entries in the index of what is ready; a claim would walk all of them. So a
worker remembers, by subscription, the highest fence that it has claimed, and looks above it. What becomes visible
below, because its transaction took long or another worker's claim was rolled back, is found by the look without floors.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from buslog.execution import Claimed

LAG = 0.25  # seconds: an emit's fence is drawn before its commit; one that commits within this is never below the floor
EARLY = 0.2  # of the time between full looks: a look that is made anyway is a full one, so that it costs none more


class Floors:
    """One worker's floors. `full_look_every` in seconds, at most."""

    def __init__(self, full_look_every: float) -> None:
        self._every = full_look_every
        self._full_look_at = 0.0
        self._raise_at = 0.0
        self._highest: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._floors: dict[int, int] = {}

    def below(self, subscriptions: Sequence[int]) -> list[int] | None:
        """The floors for one claim, in the order of the subscriptions; None: look everywhere."""
        now = time.monotonic()
        if now >= self._raise_at:
            self._raise_at = now + LAG
            self._floors, self._next = self._next, dict(self._highest)
        if now >= self._full_look_at - EARLY * self._every:
            self._full_look_at = now + self._every
            return None
        return [self._floors.get(number, 0) for number in subscriptions]

    def next_full_look(self) -> float:
        """In how many seconds it is due at the latest; infinity where it is overdue: then nothing could be claimed."""
        seconds = self._full_look_at - time.monotonic()
        return seconds if seconds > 0 else float("inf")

    def claimed(self, claims: Iterable[Claimed]) -> None:
        """What a claim took, and with it everything before."""
        for claim in claims:
            if claim.fence > self._highest.get(claim.subscription_id, 0):
                self._highest[claim.subscription_id] = claim.fence
