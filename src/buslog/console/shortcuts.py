"""The keys that press a button of the page, all in one place; what each does stands in `words.SHORTCUTS`.

A key alone sends nothing and ends nothing: it looks, turns a page, opens a question, or takes on a cause, which the
button beside it undoes. Where somebody types, a letter is a letter. C and R are Streamlit's own.
"""

from __future__ import annotations

from enum import StrEnum

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from buslog.console import markup, words


class Shortcut(StrEnum):
    """The key of a button, given as its `shortcut`. Of two buttons of a page with one key, both would be pressed."""

    REFRESH = "F"
    NEW_ROWS = "S"
    NEWEST = "T"
    NEWER = "N"
    OLDER = "O"
    ACKNOWLEDGE = "A"
    REPLAY = "P"
    HELP = "H"


def button() -> None:
    """The button that opens the list of keys. It has no key while a dialog is open: keys reach what lies below it."""
    context = get_script_run_ctx()
    is_covered = context is not None and context.has_dialog_opened
    if st.button(words.SHORTCUTS_TITLE, key="shortcuts", type="tertiary", icon=":material/keyboard:",
                 shortcut=None if is_covered else Shortcut.HELP):  # fmt: skip
        _dialog()


@st.dialog(words.SHORTCUTS_TITLE, icon=":material/keyboard:")
def _dialog() -> None:
    markup.keys((str(shortcut), words.SHORTCUTS[shortcut.name]) for shortcut in Shortcut)
    markup.quiet(words.SHORTCUTS_MORE)
