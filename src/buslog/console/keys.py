"""The story of one key: what of it waits or failed now, and everything that happened, on one time line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import groupby

import streamlit as st

from buslog.console import clock, frame, links, markup, story, thread, words
from buslog.insights import Command, Done, KeyMessage, KeyNow, KeyPage, Note, Story
from buslog.message import State

ERROR_SHOWN = 200  # characters
MOST_COMMANDS = 6


# ── now ─────────────────────────────────────────────────────────────────────────


def now(found: KeyNow, key: str) -> None:
    """What failed or waits, why, and the way to it."""
    if not found.states:
        st.markdown(f":green[:material/check_circle:] {words.KEY_WELL}")
        return
    with st.container(border=True):
        in_order = (State.FAILED, *(state for state in State if state is not State.FAILED))
        counted = ", ".join(f"{found.states[state]:,} {state}" for state in in_order if found.states.get(state))
        markup.title(words.KEY_NOW.format(counts=counted))
        lines = ""
        for waiting in found.listed:
            delivery = waiting.delivery
            to_message = markup.link(links.message(delivery.message_id), waiting.name)
            error = f"{waiting.error_type}: {waiting.error or ''}"[:ERROR_SHOWN] if waiting.error_type else ""
            lines += (
                f'<div style="overflow-wrap:anywhere;padding:.25rem 0">{thread.mark_of(waiting.state)} {to_message} '
                f'<span style="opacity:.66">· {escape(words.short(delivery.subscription))}</span>'
                f'<div style="font-size:.875rem;opacity:.8">{escape(error)}</div>'
                f"{story.why(waiting.causes, key=key)}</div>"
            )
        st.html(lines)
        total = sum(found.states.values())
        if len(found.listed) < total:
            markup.quiet(words.KEY_NOW_LISTED.format(shown=len(found.listed), count=f"{total:,}"))


# ── commands ────────────────────────────────────────────────────────────────────


def commands(known: Sequence[Command], key: str, key_field: str) -> None:
    """Those that can be about a key: each opens its form with the key in it."""
    field = key_field.partition(".")[0]
    fitting = [c for c in known if c.schema is None or field in c.schema.get("properties", {})]
    if not fitting:
        return
    st.subheader(words.KEY_COMMANDS)
    with st.container(horizontal=True):
        for command in fitting[:MOST_COMMANDS]:
            st.page_link(
                frame.COMMANDS, label=markup.literal(command.name), icon=":material/play_circle:",
                query_params={"command": command.name, "key": key}, help=markup.literal(command.description) or None,
            )  # fmt: skip


# ── the time line ───────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Happened:
    """Something of the story: when, by which mark, and what, as HTML. `is_message`: it begins one. `is_now`: so it
    stands.
    """

    at: datetime
    mark: str
    content: str
    is_message: bool = False
    is_now: bool = False


def show(page: KeyPage, notes: Sequence[Note]) -> None:
    """Everything of a page's messages in the order of time, a day a heading."""
    told = sorted(happened(page, notes), key=lambda one: one.at)
    html = ""
    for day, of_day in groupby(told, key=lambda one: clock.day(one.at)):
        html += f'<div style="{_DAY}">{day} {clock.zone()}</div>' + "".join(map(_line, of_day))
    markup.lines(html)


def happened(page: KeyPage, notes: Sequence[Note]) -> Iterator[Happened]:
    """What became of a page's messages, and the notes of its time; in no order."""
    for message in page.messages:
        yield _emitted(message, page.stories[message.id])
        yield from _of_message(message, page.stories[message.id])
    since = page.messages[0].emitted_at if page.has_older and page.messages else None
    until = page.messages[-1].emitted_at if page.has_newer and page.messages else None
    for note in notes:
        if (since is None or note.at >= since) and (until is None or note.at < until):
            text = f'<span style="white-space:pre-wrap">{escape(note.text)}</span>'
            yield Happened(note.at, "✎", f"<b>{escape(note.actor)}</b> {text}")


def _emitted(message: KeyMessage, told: Story) -> Happened:
    """The message, with the deliveries that went well at once, or never were."""
    well = [run for run in told.runs if thread.went_well(run, told)]
    if well:
        subscribers = ", ".join(words.short(run.subscription) for run in well)
        rest = f'{thread.mark_of(State.SUCCEEDED)} <span style="opacity:.66">{escape(subscribers)}</span>'
    elif not message.routed:
        rest = thread.mark_of(State.IMPORTED if message.source == "import" else State.UNROUTED)
    else:
        rest = ""
    by = f' <span style="opacity:.66">by {escape(message.actor)}</span>' if message.actor else ""
    kind = f'<span style="opacity:.5;font-size:.75rem">{message.kind}</span>'
    name = markup.link(links.message(message.id), message.name)
    return Happened(message.emitted_at, "●", f"<b>{name}</b> {kind}{by} {rest}", is_message=True)


def _of_message(message: KeyMessage, told: Story) -> Iterator[Happened]:
    of = f' <span style="opacity:.66">· {escape(message.name)}</span>'
    for raised in told.raised:
        error = f"{raised.error_type}: {raised.error}"[:ERROR_SHOWN]
        what = words.KEY_ATTEMPT.format(number=raised.attempt)
        subscriber = escape(words.short(raised.subscription))
        yield Happened(
            raised.finished_at, "!", f'{subscriber}: {what}{of}<div style="opacity:.75">{escape(error)}</div>'
        )
    for run in told.runs:
        subscriber = escape(words.short(run.subscription))
        if run.finished_at is None:
            so_far = f"{subscriber} {thread.mark_of(run.state)}{of}"
            yield Happened(clock.now(), words.STATES[run.state].mark, so_far, is_now=True)
        elif not thread.went_well(run, told):
            again = f" {words.KEY_SINCE_REPLAY}" if run.generation > 1 and run.state is not State.CANCELLED else ""
            yield Happened(
                run.finished_at, words.STATES[run.state].mark, f"{subscriber} {thread.mark_of(run.state)}{again}{of}"
            )
    for done in told.done:
        if done.verb != "note":
            yield Happened(done.at, "◆", _did(done) + of)


def _did(done: Done) -> str:
    on = f" {words.short(done.subscription)}" if done.subscription else ""
    why = f": “{done.reason}”" if done.reason else ""
    made = f" {markup.link(links.message(done.made), words.OPEN_IT)}" if done.made else ""
    return f"<b>{escape(done.actor)}</b> {escape(words.KEY_DONE.get(done.verb, done.verb) + on + why)}{made}"


def _line(one: Happened) -> str:
    when = words.KEY_IS_NOW if one.is_now else clock.time_of_day(one.at)
    inset = "" if one.is_message else ";padding-left:1.2rem;font-size:.875rem"
    return (
        f'<div style="{_LINE}"><span style="{_WHEN}">{when}</span>'
        f'<span style="flex:0 0 1rem;text-align:center;opacity:.7">{one.mark}</span>'
        f'<span style="flex:1;min-width:0;overflow-wrap:anywhere{inset}">{one.content}</span></div>'
    )


_LINE = "display:flex;gap:.7rem;padding:.14rem .5rem;align-items:baseline"
_WHEN = "flex:0 0 4.4rem;opacity:.66;font-variant-numeric:tabular-nums;font-size:.85rem"
_DAY = "font-weight:600;font-size:.85rem;opacity:.75;margin:.7rem 0 .2rem .5rem"
