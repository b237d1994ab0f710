"""Failure groups on screens: the list of causes, the head of one, and what can be done about it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from html import escape

import streamlit as st

from buslog.console import access, acting, clock, frame, markup, words
from buslog.console.shortcuts import Shortcut
from buslog.errors import BuslogError
from buslog.groups import NOTE_LENGTH
from buslog.insights import FailureGroup, FailureSample, GroupStatus
from buslog.payload import NAME_LENGTH

_QUIET = "opacity:.66;font-size:.85rem"
_MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.85rem"
_TWO_LINES = (
    "display:-webkit-box;-webkit-line-clamp:2;-webkit-box-orient:vertical;overflow:hidden;overflow-wrap:anywhere"
)
_DAY = timedelta(days=1)
_BAR, _TALLEST, _BARS = 4, 32, "#D55E00"  # pixels, and the colour of failures


# ── the list ────────────────────────────────────────────────────────────────────


def card(group: FailureGroup, *, on_open: Callable[[], None]) -> None:
    """A cause in its words, with its count, its trend and what has become of it."""
    with st.container(border=True, key=f"group-{group.fingerprint}"):
        told, side = st.columns([10, 1.2], vertical_alignment="center")
        told.html(_card(group))
        side.button(
            words.OPEN_GROUP, key=f"open-{group.fingerprint}", on_click=on_open, help=words.OPEN_GROUP_HELP,
            icon=":material/chevron_right:", icon_position="right", width="stretch",
        )  # fmt: skip


def _card(group: FailureGroup) -> str:
    place = f' <span style="{_QUIET}">{escape(group.place)}</span>' if group.place else ""
    told = " · ".join(escape(text) for text in _told(group))
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:.4rem 1.4rem;align-items:center">'
        '<div style="flex:1 1 20rem;min-width:0">'
        f'<div style="overflow-wrap:anywhere">{_status(group.status)} <b>{escape(group.error_type)}</b>{place}</div>'
        f'<div style="{_MONO};{_TWO_LINES};margin:.15rem 0">{escape(group.sample)}</div>'
        f'<div style="{_QUIET};overflow-wrap:anywhere">{told}</div></div>'
        f'<div style="display:flex;gap:1rem;align-items:flex-end">{_trend(group.trend, group.trend_step)}'
        '<div style="min-width:5.5rem;text-align:right;font-variant-numeric:tabular-nums">'
        f'<div style="font-size:1.35rem;font-weight:600;line-height:1.2">{escape(str(group.count))}</div>'
        f'<div style="{_QUIET}">{escape(words.FAILED_NOW.lower())}</div></div></div></div>'
    )


def _told(group: FailureGroup) -> list[str]:
    """The quiet line of a card."""
    told = [words.some(map(words.short, group.subscriptions)), words.some(group.names)]
    if group.keys:
        told.append(words.plural(group.keys, "key"))
    if group.first_release:
        told.append(f"{words.SINCE_RELEASE.lower()} {group.first_release}")
    if not group.is_new:
        told.append(f"{words.FIRST_SEEN.lower()} {_ago(group.first_seen)}")
    told.append(f"{words.LAST_SEEN.lower()} {_ago(group.last_seen)}")
    if group.reopened:
        told.append(words.reopened(group.reopened))
    if group.owner:
        told.append(f"{words.CAUSE_OWNER.lower()}: {group.owner}")
    return [text for text in told if text]


def _ago(moment: datetime) -> str:
    return words.JUST_NOW if clock.now() - moment < timedelta(minutes=1) else clock.ago(moment)


def _status(status: GroupStatus) -> str:
    look = words.GROUP_STATUSES[status]
    return (
        f'<span title="{escape(look.meaning)}" style="color:{look.tone};white-space:nowrap;font-size:.85rem;'
        f'font-weight:600;margin-right:.35rem">{look.mark} {status}</span>'
    )


def _trend(counts: Sequence[int], step: timedelta) -> str:
    """Bars over time, the newest at the right, with a line that says what they are."""
    most, alt = max(counts, default=0) or 1, words.trend(counts, is_hourly=step < _DAY)
    bars = "".join(
        f'<div style="width:{_BAR}px;height:{max(round(count / most * _TALLEST), 3) if count else 1}px;'
        f'background:{_BARS if count else "currentColor"};opacity:{1 if count else 0.3}"></div>'
        for count in counts
    )
    return (
        f'<div role="img" aria-label="{escape(alt)}" title="{escape(alt)}" '
        f'style="display:flex;gap:1px;align-items:flex-end;height:{_TALLEST}px">{bars}</div>'
    )


# ── one group ───────────────────────────────────────────────────────────────────


def head(group: FailureGroup) -> None:
    """What a cause is called, and what has become of it."""
    markup.heading(group.error_type)
    told = [words.reopened(group.reopened)] if group.reopened else []
    told += [f"{words.CAUSE_OWNER.lower()}: {group.owner}"] if group.owner else []
    st.html(f'{_status(group.status)} <span style="{_QUIET}">{escape(" · ".join(told))}</span>')


def known(group: FailureGroup, sample: FailureSample | None) -> None:
    """What is known of a cause: its newest error, its numbers, what somebody noted, the traceback."""
    markup.error("", sample.error if sample else group.sample, sample.frame if sample else group.place)
    if group.note:
        markup.note(group.note)
    markup.facts(
        [
            (words.FAILED_NOW, str(group.count)),
            (words.FAILED_EVER, "" if group.is_new else f"{group.total:,}"),
            (words.CAUSE_KEYS, f"{group.keys:,}" if group.keys else ""),
            (f"{words.FIRST_SEEN} ({clock.zone()})", clock.stamp(group.first_seen)),
            (f"{words.LAST_SEEN} ({clock.zone()})", clock.stamp(group.last_seen)),
            (words.SINCE_RELEASE, group.first_release or ""),
            (words.LAST_RELEASE, group.last_release or ""),
            (
                words.CAUSE_SUBSCRIBERS if group.subscriptions[1:] else words.CAUSE_SUBSCRIBER,
                ", ".join(group.subscriptions),
            ),
            (words.CAUSE_NAMES if group.names[1:] else words.CAUSE_NAME, ", ".join(group.names)),
        ]
    )
    st.html(
        f'<div style="display:flex;gap:.8rem;align-items:flex-end">{_trend(group.trend, group.trend_step)}'
        f'<span style="{_QUIET}">{escape(words.trend(group.trend, is_hourly=group.trend_step < _DAY))}</span></div>'
    )
    if sample:
        _sample(sample)


def _sample(sample: FailureSample) -> None:
    with st.expander(words.TRACEBACK, icon=":material/data_object:"):
        worker = f" · {sample.worker}" if sample.worker else ""
        release = f" · release {sample.code_version}" if sample.code_version else ""
        markup.quiet(f"{clock.stamp(sample.finished_at)} {clock.zone()} · {sample.subscription}{worker}{release}")
        st.code(sample.traceback or words.NO_TRACEBACK, language=None, wrap_lines=True, height=320)
        st.page_link(
            frame.MESSAGE, label=words.OF_MESSAGE, icon=":material/mail:", query_params={"id": str(sample.message_id)}
        )


def buttons(group: FailureGroup) -> None:
    """What can be done about a cause; what its status or the actor's role does not allow is there and says why."""
    is_open, is_resolved = group.status is GroupStatus.OPEN, group.status is GroupStatus.RESOLVED
    why_acknowledged = words.IS_RESOLVED if is_resolved else "" if is_open else words.IS_ACKNOWLEDGED
    fingerprint = group.fingerprint
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for verb, label, icon, why_not, help_, act in (
            ("acknowledge", words.ACKNOWLEDGE, "visibility", why_acknowledged, words.ACKNOWLEDGE_HELP,
             lambda: _do("acknowledge", lambda: access.groups().acknowledge(fingerprint))),
            ("assign", words.ASSIGN, "person", "", words.ASSIGN_HELP, lambda: _ask("assign")),
            ("note", words.WRITE_NOTE, "edit_note", "", words.NOTE_HELP, lambda: _ask("note")),
            ("resolve", words.RESOLVE, "task_alt", words.IS_RESOLVED if is_resolved else "", words.RESOLVE_HELP,
             lambda: _ask("resolve")),
            ("reopen", words.REOPEN, "undo", words.IS_OPEN if is_open else "", words.REOPEN_HELP,
             lambda: _do("reopen", lambda: access.groups().reopen(fingerprint))),
        ):  # fmt: skip
            said = why_not or access.may(verb)
            st.button(
                label, key=f"group.{verb}", icon=f":material/{icon}:", disabled=bool(said), help=said or help_,
                on_click=act,
                shortcut=Shortcut.ACKNOWLEDGE if verb == "acknowledge" and _ASKED not in st.session_state else None,
            )  # fmt: skip
    asked = st.session_state.pop(_ASKED, None)
    if asked:
        {"assign": _assign, "note": _note, "resolve": _resolve}[asked](group)


_ASKED = "group.asked"


def _ask(dialog: str) -> None:
    st.session_state[_ASKED] = dialog


def _do(verb: str, act: Callable[[], bool]) -> None:
    """Quick clicks act once: the group finds what it already is, and changes and audits nothing."""
    try:
        changed = act()
    except BuslogError as error:
        acting.remember(error)
    else:
        acting.remember(words.GROUP_SAID[verb] if changed else words.GROUP_SAID_BEFORE)


@st.dialog(words.ASSIGN_TITLE, icon=":material/person:")
def _assign(group: FailureGroup) -> None:
    with st.form("group.assign", border=False):
        st.text_input(
            words.CAUSE_PERSON, value=group.owner or access.who().name, placeholder=words.CAUSE_PERSON_HINT,
            max_chars=NAME_LENGTH, key=_GIVEN,
        )  # fmt: skip
        _finish(words.ASSIGN, "assign", lambda owner: access.groups().assign(group.fingerprint, owner))


@st.dialog(words.NOTE_TITLE, icon=":material/edit_note:")
def _note(group: FailureGroup) -> None:
    with st.form("group.note", border=False):
        st.text_area(
            words.CAUSE_NOTE, value=group.note or "", placeholder=words.NOTE_HINT, max_chars=NOTE_LENGTH, height=160,
            key=_GIVEN,
        )  # fmt: skip
        _finish(words.SAVE, "note", lambda text: access.groups().note(group.fingerprint, text))


@st.dialog(words.RESOLVE_TITLE, icon=":material/task_alt:")
def _resolve(group: FailureGroup) -> None:
    with st.form("group.resolve", border=False):
        if group.count:
            markup.quiet(words.RESOLVE_LEAVES)
        st.text_input(words.REASON, placeholder=words.RESOLVE_HINT, max_chars=NAME_LENGTH, key=_GIVEN)
        _finish(words.RESOLVE, "resolve", lambda reason: access.groups().resolve(group.fingerprint, reason=reason))


_GIVEN = "group.given"  # what is typed in the dialog that is open


def _finish(label: str, verb: str, act: Callable[[str], bool]) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        left = st.form_submit_button(words.LEAVE_IT, key=f"group.{verb}.leave")
        pressed = st.form_submit_button(
            label, key=f"group.{verb}.confirm", type="primary",
            on_click=lambda: _do(verb, lambda: act(st.session_state.get(_GIVEN) or "")),
        )  # fmt: skip
    if pressed or left:
        st.rerun()


def command_lines(group: FailureGroup) -> str:
    """The lines that do the same in a terminal."""
    name = shlex.quote(group.owner or "Berta")
    return "\n".join(
        f"buslog failures {line}"
        for line in (
            f"ack {group.fingerprint}",
            f"assign {group.fingerprint} {name}",
            f'note {group.fingerprint} "…"',
            f'resolve {group.fingerprint} --reason "…"',
            f"reopen {group.fingerprint}",
        )
    )
