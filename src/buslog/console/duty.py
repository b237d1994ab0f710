"""Who is on duty: one line, and the dialog to take it or to hand it over."""

from __future__ import annotations

import streamlit as st

from buslog.console import access, clock, markup, once, words
from buslog.insights import Shift


def line(shifts: list[Shift]) -> str:
    """Such as: On duty: anna, for 3 h · note of ben, 3 h ago: carrier is down. Newest shift first."""
    now = shifts[0] if shifts and shifts[0].until is None else None
    said = words.NOBODY_ON_DUTY
    if now:
        said = words.ON_DUTY.format(who=now.who, time=clock.lasted(clock.now() - now.since))
    note = next((shift for shift in shifts[:2] if shift.note and shift.until), None)
    if note and note.until:
        told = words.NOTE_FROM.format(who=note.who, ago=clock.ago(note.until), note=" ".join(str(note.note).split()))
        said = f"{said} · {told}"
    return said


def bar(*, key: str) -> None:
    """The line, and the button that opens the dialog."""
    shifts = access.insights().shifts(places=5)
    with st.container(horizontal=True, vertical_alignment="center"):
        markup.quiet(line(shifts))
        denied = access.may("take duty")
        if st.button(words.DUTY, key=f"duty.{key}", type="tertiary", icon=":material/badge:", disabled=bool(denied),
                     help=denied or words.DUTY_HELP):  # fmt: skip
            once.opened("duty")
            _dialog()


@st.dialog(words.DUTY, width="medium", icon=":material/badge:")
def _dialog() -> None:
    once.shown("duty")
    shifts = access.insights().shifts(places=5)
    now = shifts[0] if shifts and shifts[0].until is None else None
    if now and now.who == access.who().name:
        st.text_area(words.DUTY_NOTE, key="duty.note", max_chars=2000, placeholder=words.DUTY_NOTE_HELP)
        st.button(words.DUTY_HAND_OVER, key="duty.hand_over", type="primary", on_click=_hand_over)
    else:
        before = words.DUTY_BEFORE.format(who=now.who) if now else ""
        markup.quiet(words.DUTY_TAKE_MORE.format(before=before))
        st.button(words.DUTY_TAKE, key="duty.take", type="primary", on_click=_take)
    earlier = [shift for shift in shifts if shift.until]
    if earlier:
        markup.title(words.DUTY_EARLIER)
    for shift in earlier:
        times = f"{clock.stamp(shift.since)} – {clock.stamp(shift.until)} {clock.zone()}"
        markup.title(shift.who, quiet=f"{times}{f' · {shift.note}' if shift.note else ''}")


def _take() -> None:
    def deed() -> str:
        access.duty().take()
        return words.DUTY_TAKEN

    once.act("duty", "", deed)


def _hand_over() -> None:
    note = str(st.session_state.get("duty.note") or "")

    def deed() -> str:
        access.duty().hand_over(note)
        return words.DUTY_HANDED_OVER

    once.act("duty", "" if note.strip() else words.DUTY_NOTE_IS_MISSING, deed)
