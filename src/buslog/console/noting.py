"""Notes on a page: what was written down about its key, message or failure group, and a place to write."""

from __future__ import annotations

import streamlit as st

from buslog.console import access, acting, clock, markup, words
from buslog.errors import BuslogError
from buslog.notes import LONGEST, About


def show(about: About, subject: str) -> None:
    """The notes about something, oldest first, and the box for one more."""
    notes = access.insights().notes(about, subject)
    for note in notes:
        markup.note(note.text, f"{note.actor} · {clock.stamp(note.at)} {clock.zone()}")
    # Another box after each note: a second click on the old one finds its note written.
    key = f"note.{about}.{subject}.{notes[-1].id if notes else 0}"
    with st.form(f"{key}.form", border=False):
        st.text_area(words.NOTES_LABEL, key=key, max_chars=LONGEST, height=80, placeholder=words.NOTES_HINT)
        why_not = access.may("note")
        st.form_submit_button(
            words.NOTES_ADD, icon=":material/note_add:", on_click=_add, args=(about, subject, key),
            disabled=bool(why_not), help=why_not or None,
        )  # fmt: skip


def _add(about: About, subject: str, key: str) -> None:
    if acting.is_done(key):
        return
    try:
        access.notes().add(about, subject, st.session_state.get(key) or "")
    except BuslogError as error:
        acting.remember(error)
        return
    acting.mark_done(key)
    acting.remember(words.NOTES_DONE)
