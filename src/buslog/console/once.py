"""A dialog's deed: done once for each opening, however often its button is pressed; its fault said in the dialog."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import streamlit as st

from buslog.console import acting
from buslog.errors import BuslogError


def opened(dialog: str) -> None:
    """Before a dialog is opened: what it does from now on has another token than before."""
    st.session_state[f"once.{dialog}"] = secrets.token_hex(8)
    st.session_state.pop(f"once.{dialog}.fault", None)


def shown(dialog: str) -> None:
    """At the beginning of a dialog: it closes when its deed is done; what was wrong with what was typed is said.

    A quick click is a run of the dialog alone: those after the first find it done.
    """
    if acting.is_done(_token(dialog)):
        st.rerun()
    fault = st.session_state.get(f"once.{dialog}.fault")
    if fault:
        st.warning(fault, icon=":material/warning:")


def act(dialog: str, why_not: str, deed: Callable[[], str]) -> None:
    """For a button's `on_click`: the deed, unless it was done; what it says, or why it was refused, is shown on the
    page. why_not: what is wrong with what was typed; empty when nothing is.
    """
    if acting.is_done(_token(dialog)):
        return
    st.session_state[f"once.{dialog}.fault"] = why_not
    if why_not:
        return
    acting.mark_done(_token(dialog))
    try:
        acting.remember(deed())
    except BuslogError as error:
        acting.remember(error)


def _token(dialog: str) -> str:
    return str(st.session_state.get(f"once.{dialog}"))
