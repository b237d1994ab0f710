"""The thread of a message: the causation tree, and beside it when everything waited and ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from html import escape
from uuid import UUID

from buslog.console import clock, links, markup, timeline, words
from buslog.insights import DeliveryRun, Done, Line, Story, Thread, ThreadMessage
from buslog.message import State

MOST_INDENT = 14
TOLD_IN_FULL = 15  # messages: in a larger thread, what went well at once has no line of its own
ATTEMPTS_SHOWN = 3
ERROR_SHOWN = 140  # characters


def show(thread: Thread, current: UUID, around: UUID) -> None:
    """The tree's lines with their bars; `around` is what is looked at, `current` the page's message."""
    if thread.messages.value == 1 and not _has_happened(thread):
        markup.quiet(words.THREAD_OF_ONE)
        return
    _head(thread, current, around)
    drawing = _Drawing(thread, current)
    markup.lines("".join(drawing.lines()))
    told = [words.THREAD_SCALE]
    if drawing.has_folded:
        told.append(words.THREAD_FOLDED)
    if not thread.is_whole:
        told.append(words.THREAD_READ_SO)
    if thread.messages.is_capped:
        told.append(words.THREAD_CAPPED.format(count=thread.messages))
    markup.quiet(" ".join(told))


def _has_happened(thread: Thread) -> bool:
    return any(story.runs or story.done for story in thread.stories.values())


def _head(thread: Thread, current: UUID, around: UUID) -> None:
    counted = f"{thread.messages} message{'' if thread.messages.value == 1 else 's'}{':' if thread.states else ''}"
    st_html = f'<span style="font-size:.9rem">{counted}</span> {states(thread.states)}'
    if not thread.is_whole and thread.troubles:
        found = " · ".join(
            f"{mark_of(message.trouble)} {markup.link(links.message(current, around=str(message.id)), message.name)}"
            for message in thread.troubles[:5]
            if message.trouble
        )
        more = f" · {words.THREAD_TROUBLES_CAPPED}" if len(thread.troubles) > 5 else ""  # noqa: PLR2004
        st_html += f'<div style="font-size:.9rem;overflow-wrap:anywhere">{words.THREAD_TROUBLES} {found}{more}</div>'
    if around != current:
        back = markup.link(links.message(current), words.THREAD_BACK)
        st_html += f'<div style="font-size:.9rem">{words.THREAD_ELSEWHERE} {back}</div>'
    markup.lines(st_html)


class _Drawing:
    """The lines of a thread as HTML, on one scale of time."""

    def __init__(self, thread: Thread, current: UUID) -> None:
        self._thread = thread
        self._current = current
        self._now = clock.now()
        self._shown = [line.message for line in thread.lines if line.message]
        self._is_small = len(self._shown) <= TOLD_IN_FULL
        self._scale = timeline.Scale.over(self._moments())
        self.has_folded = False

    def lines(self) -> Iterator[str]:
        yield f'<div style="{_LINE}"><span style="flex:1 1 22rem"></span>{self._scale.axis()}</div>'
        for line in self._thread.lines:
            yield from self._message(line.message, line.depth) if line.message else [self._gap(line)]

    def _moments(self) -> Iterator[datetime]:
        for message in self._shown:
            yield message.emitted_at
            story = self._thread.stories[message.id]
            yield from (done.at for done in story.done)
            for run in story.runs:
                yield run.finished_at or self._now

    def _gap(self, line: Line) -> str:
        around = links.message(self._current, around=str(line.around))
        text = words.THREAD_LEFT_OUT.format(count=f"{line.left_out:,}")
        return (
            f'<div style="{_LINE}"><span style="{_WHEN}"></span>'
            f'<span style="{_TEXT}{_indented(line.depth)}">… {markup.link(around, text)} '
            f"{states(line.states or {})}</span></div>"
        )

    def _message(self, message: ThreadMessage, depth: int) -> Iterator[str]:
        story = self._thread.stories[message.id]
        is_current = message.id == self._current
        told = [run for run in story.runs if self._is_small or is_current or not went_well(run, story)]
        folded = [run for run in story.runs if run not in told]
        self.has_folded |= bool(folded)
        drawn = [bar for run in folded for bar in timeline.bars(run, story, message.emitted_at, self._now)]
        later = message.emitted_at - self._scale.since
        when = f"+{clock.lasted(later)}" if later else clock.time_of_day(message.emitted_at)
        name = escape(message.name) if is_current else markup.link(links.message(message.id), message.name)
        key = f' <span style="opacity:.66">{links.html_of_key(message.key)}</span>' if message.key else ""
        by = f' <span style="opacity:.66">{escape(message.actor)}</span>' if message.actor else ""
        branch = '<span style="opacity:.4">└ </span>' if depth else ""
        deep = f'<span style="{_FAINT}">{depth} deep </span>' if depth > MOST_INDENT else ""
        weight = "font-weight:600" if is_current else ""
        yield (
            f'<div {"aria-current=true" if is_current else ""} style="{_LINE}{_HERE if is_current else ""}">'
            f'<span style="{_WHEN}">{when}</span><span style="{_TEXT}{_indented(depth)}">{branch}{deep}'
            f'<span style="{weight}">{name}</span> <span style="{_FAINT}">{message.kind}</span>{key}{by}'
            f"{'' if told else ' ' + states(message.states)}</span>"
            f"{self._scale.draw(drawn, emitted_at=message.emitted_at)}</div>"
        )
        for run in told:
            yield from self._run(run, story, message, depth + 1)
        for done in story.done:
            if done.subscription is None:
                yield self._done(done, depth + 1)

    def _run(self, run: DeliveryRun, story: Story, message: ThreadMessage, depth: int) -> Iterator[str]:
        drawn = timeline.bars(run, story, message.emitted_at, self._now)
        waited, ran = (clock.lasted(length) for length in timeline.lengths(drawn))
        raised = story.raised_of(run)
        which = f" · generation {run.generation}" if run.generation > 1 or not run.is_latest else ""
        marks = [done.at for done in story.done if done.subscription == run.subscription] if run.is_latest else []
        took = f", ran {ran}" if any(bar.ran for bar in drawn) else ""
        alt = words.THREAD_ALT.format(subscription=run.subscription, state=run.state, waited=waited, ran=ran)
        yield (
            f'<div style="{_LINE}{_SMALL}"><span style="{_WHEN}"></span><span style="{_TEXT}{_indented(depth)}">'
            f"{mark_of(run.state)} {escape(words.short(run.subscription))}"
            f'<span style="opacity:.66">{which} · waited {waited}{took}</span>'
            f"</span>{self._scale.draw(drawn, marks, alt=alt)}</div>"
        )
        for attempt in raised[:ATTEMPTS_SHOWN]:
            error = f"{attempt.error_type}: {attempt.error}"[:ERROR_SHOWN]
            yield self._note(depth + 1, f"attempt {attempt.attempt} · {escape(error)}")
        if len(raised) > ATTEMPTS_SHOWN:
            more = words.THREAD_MORE_ABOVE if message.id == self._current else words.THREAD_MORE_ATTEMPTS
            yield self._note(depth + 1, more.format(count=len(raised) - ATTEMPTS_SHOWN))
        if run.is_latest:
            for done in story.done:
                if done.subscription == run.subscription:
                    yield self._done(done, depth + 1)

    def _done(self, done: Done, depth: int) -> str:
        what = words.KEY_DONE.get(done.verb, done.verb)
        on = f" {words.short(done.subscription)}" if done.subscription else ""
        why = f": “{done.reason}”" if done.reason else ""
        text = f"◆ {done.actor} {what}{on} at {clock.stamp(done.at)}{why}"
        made = f" {markup.link(links.message(done.made), words.OPEN_IT)}" if done.made else ""
        return self._note(depth, escape(text) + made)

    def _note(self, depth: int, content: str) -> str:
        """A quiet line: `content` is HTML."""
        return (
            f'<div style="{_LINE}{_SMALL}"><span style="{_WHEN}"></span>'
            f'<span style="{_TEXT}{_indented(depth)};opacity:.75">{content}</span></div>'
        )


def went_well(run: DeliveryRun, story: Story) -> bool:
    """At the first attempt, and nobody had to do anything."""
    is_quiet = not any(done.subscription == run.subscription for done in story.done)
    return run.state is State.SUCCEEDED and run.generation == 1 and is_quiet and not story.raised_of(run)


def mark_of(state: State | None) -> str:
    """A state by mark and word: HTML."""
    if state is None:
        return ""
    look = words.STATES[state]
    return f'<span style="color:{_readable(look.tone)};white-space:nowrap">{look.mark} {state}</span>'


def states(of: Mapping[State, int]) -> str:
    """Deliveries by state, each by mark, number and word: HTML."""
    return " ".join(
        f'<span style="color:{_readable(words.STATES[state].tone)};{_STATE}">{words.STATES[state].mark} '
        f"{f'{of[state]:,} ' if of[state] > 1 else ''}{state}</span>"
        for state in State
        if of.get(state)
    )


def _readable(tone: str) -> str:
    """A state's tone as the colour of text: drawn towards the theme's own, so that it is read on light and dark."""
    return f"color-mix(in srgb,{tone} 70%,currentColor)"


def _indented(depth: int) -> str:
    return f";padding-left:{min(depth, MOST_INDENT) * 1.1:.1f}rem"


_LINE = "display:flex;flex-wrap:wrap;gap:.1rem .9rem;align-items:center;padding:.16rem .5rem;border-radius:6px;"
_SMALL = "font-size:.85rem;padding-top:.05rem;padding-bottom:.05rem;"
_HERE = "background:rgba(91,127,232,.12);"
_TEXT = "flex:1 1 min(22rem, calc(100% - 6rem));min-width:0;overflow-wrap:anywhere"
_WHEN = "flex:0 0 4.6rem;opacity:.66;font-variant-numeric:tabular-nums;font-size:.8rem"
_STATE = "white-space:nowrap;font-size:.85rem"
_FAINT = "opacity:.5;font-size:.75rem"
