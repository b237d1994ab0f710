"""Bars to scale: when a delivery waited and when it ran, beside a line of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape

from buslog.console import clock, words
from buslog.insights import DeliveryRun, Story
from buslog.message import OPEN_STATES, DeliveryRef, State

WAITED, RAISED = "#8A91A0", "#E69F00"
_THINNEST = 0.4  # per cent of the width: what took no time is still seen


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time of a delivery: it waited, or it ran."""

    since: datetime
    until: datetime
    tone: str
    ran: bool


def bars(run: DeliveryRun, story: Story, emitted_at: datetime, now: datetime) -> list[Bar]:
    """What one generation of a delivery did with its time: waiting from when it was sent, and every attempt."""
    sent_at = _sent_at(run, story, emitted_at)
    ran = [Bar(raised.started_at, raised.finished_at, RAISED, ran=True) for raised in story.raised_of(run)]
    if run.started_at and run.state in {State.SUCCEEDED, State.RUNNING}:
        ran.append(Bar(run.started_at, run.finished_at or now, words.STATES[run.state].tone, ran=True))
    elif ran and run.state is State.FAILED:
        ran[-1] = Bar(ran[-1].since, ran[-1].until, words.STATES[State.FAILED].tone, ran=True)
    found, at = [], sent_at
    for bar in ran:
        if bar.since > at:
            found.append(Bar(at, bar.since, WAITED, ran=False))
        found.append(bar)
        at = max(at, bar.until)
    end = run.finished_at or now
    if (run.state in OPEN_STATES and run.state is not State.RUNNING) or not ran:
        found.append(Bar(at, max(end, at), WAITED, ran=False))
    return found


def _sent_at(run: DeliveryRun, story: Story, emitted_at: datetime) -> datetime:
    """When it was sent: with its message, or by the replay that opened this generation."""
    if run.generation == 1:
        return emitted_at
    replays = [d.at for d in story.done_to(DeliveryRef(run.message_id, run.subscription)) if d.verb == "replay"]
    before = [r.finished_at for r in story.runs if r.subscription == run.subscription and r.generation < run.generation]
    ended = max((moment for moment in before if moment), default=emitted_at)
    begun = [at for at in replays if at >= ended and (run.started_at is None or at <= run.started_at)]
    return min(begun, default=ended)


def lengths(of: Sequence[Bar]) -> tuple[timedelta, timedelta]:
    """How long it waited, and how long it ran."""
    waited, ran = (sum((b.until - b.since for b in of if b.ran is ran), timedelta()) for ran in (False, True))
    return waited, ran


@dataclass(frozen=True, slots=True)
class Scale:
    """The time from the left end to the right one."""

    since: datetime
    until: datetime

    @classmethod
    def over(cls, moments: Iterable[datetime]) -> Scale:
        known = sorted(moments)
        return cls(known[0], max(known[-1], known[0] + timedelta(milliseconds=1)))

    def place(self, moment: datetime) -> float:
        """In per cent of the width."""
        return min(max((moment - self.since) / (self.until - self.since) * 100, 0.0), 100.0)

    def draw(
        self, of: Iterable[Bar], marks: Iterable[datetime] = (), *, emitted_at: datetime | None = None, alt: str = ""
    ) -> str:
        """HTML of bars on their track; marks are moments at which somebody did something."""
        pieces = "".join(self._bar(bar) for bar in of)
        if emitted_at:
            pieces += f'<span style="{_EMITTED};left:{self.place(emitted_at):.2f}%"></span>'
        pieces += "".join(f'<span style="{_MARK};left:calc({self.place(at):.2f}% - .35rem)">◆</span>' for at in marks)
        label = f'role="img" aria-label="{escape(alt)}" title="{escape(alt)}"' if alt else 'aria-hidden="true"'
        return f'<span {label} style="{_TRACK}">{pieces}</span>'

    def _bar(self, bar: Bar) -> str:
        left, right = self.place(bar.since), self.place(bar.until)
        width = max(right - left, _THINNEST)
        shape = "top:0;bottom:0" if bar.ran else "top:35%;bottom:35%;opacity:.45"
        return (
            f'<span style="position:absolute;left:{min(left, 100 - width):.2f}%;width:{width:.2f}%;{shape};'
            f'background:{bar.tone};border-radius:2px"></span>'
        )

    def axis(self) -> str:
        """The two ends in words."""
        return (
            f'<span style="display:flex;justify-content:space-between;flex:1 1 16rem;font-size:.75rem;opacity:.66;'
            f'font-variant-numeric:tabular-nums"><span>{clock.stamp(self.since)} {clock.zone()}</span>'
            f"<span>+{clock.lasted(self.until - self.since)}</span></span>"
        )


_EMITTED = "position:absolute;top:-.1rem;bottom:-.1rem;width:2px;background:currentColor;opacity:.6"
_MARK = "position:absolute;top:-.28rem;font-size:.75rem"
_TRACK = "position:relative;flex:1 1 16rem;height:.6rem;background:rgba(128,136,152,.12);border-radius:2px"
