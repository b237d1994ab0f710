"""Reads that screens share which refresh by themselves: one of them reads, the others show what it found.

Whoever clicks has it read anew, and so sees what they just did; the others then show that. Shared is what every reader
may see alike: a session in which messages were unmasked reads for itself, and another mask is another read.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from streamlit.runtime.scriptrunner import get_script_run_ctx

from buslog.console import access, clock
from buslog.errors import BuslogError
from buslog.insights import Insights
from buslog.masking import Mask

KEPT = 5.0  # seconds: so old may what a screen shows of others be when it is drawn
# A slow read is kept for longer, for so many times as long as it took: however many screens there are, they take no
# larger share of a database's time.
TIMES, LONGEST = 20, 30.0
MASK_KEPT = 1.0  # seconds: by so much later a new mask is followed here
MOST = 200  # reads that are kept; of more, those that were asked for longest ago go

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was read, when the reading began, and what has been made of it."""

    at: datetime
    value: T
    _made: dict[Callable[[T], Any], Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, make: Callable[[T], R]) -> R:
        """What `make` makes of it: by the first screen that shows it, for all of them.

        make: a function of a module. A page's functions are others in each session.
        """
        if make not in self._made:
            self._made[make] = make(self.value)
        made: R = self._made[make]
        return made


@dataclass(slots=True)
class _Place:
    """Of one read the latest outcome. Who holds `turn` reads; the others wait for it."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    outcome: Any = None
    began: float = float("-inf")
    until: float = float("-inf")


_places: OrderedDict[Hashable, _Place] = OrderedDict()
_masks: dict[str, tuple[float, Mask]] = {}  # by database: when it was asked for
_lock = threading.Lock()


def read(method: Callable[Concatenate[Insights, P], T], *args: P.args, **options: P.kwargs) -> Seen[T]:
    """What a read of `Insights` gives: read now, or by another screen a moment ago. Raises what it raises, also what it
    raised to the other: a database that is too slow for one is not asked by fifty.
    """
    insights = access.insights()
    if access.unmasked():
        return Seen(clock.now(), method(insights, *args, **options))
    place = _place((access.dsn(), _mask(insights), method.__qualname__, args, tuple(options.items())))
    if not refreshes_itself():
        return _read(place, lambda: method(insights, *args, **options))
    with place.turn:
        if time.monotonic() > place.until:
            return _read(place, lambda: method(insights, *args, **options))
        return _given(place.outcome)


def _mask(insights: Insights) -> Mask:
    asked, mask = _masks.get(access.dsn(), (float("-inf"), Mask()))
    if time.monotonic() - asked > MASK_KEPT:
        mask = insights.mask()
        _masks[access.dsn()] = time.monotonic(), mask
    return mask


def refreshes_itself() -> bool:
    """Whether only a part of the page runs, as a timer of it makes it."""
    context = get_script_run_ctx(suppress_warning=True)
    return context is not None and bool(context.fragment_ids_this_run)


def _read(place: _Place, look: Callable[[], T]) -> Seen[T]:
    began, at = time.monotonic(), clock.now()
    outcome: Seen[T] | BuslogError
    try:
        outcome = Seen(at, look())
    except BuslogError as error:
        outcome = error
    if began > place.began:  # a slow read does not hide a newer one
        kept = min(max(KEPT, TIMES * (time.monotonic() - began)), LONGEST)
        place.outcome, place.began, place.until = outcome, began, began + kept
    return _given(outcome)


def _given(outcome: Seen[T] | BuslogError) -> Seen[T]:
    if isinstance(outcome, BuslogError):
        raise outcome.recast(type(outcome))  # each raises its own
    return outcome


def _place(key: Hashable) -> _Place:
    with _lock:
        place = _places.setdefault(key, _Place())
        _places.move_to_end(key)
        if len(_places) > MOST:
            _places.popitem(last=False)
        return place
