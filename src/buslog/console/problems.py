"""Errors on screens: ours in their shape, all others as a reference whose story is in the log. Never a traceback."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import streamlit as st

from buslog.console import markup, words
from buslog.errors import (
    BuslogError,
    DatabaseUnavailable,
    InvalidFilter,
    Misconfigured,
    NotFound,
    OutcomeUnknown,
    RoleTooLow,
    UnknownCommand,
)

_log = logging.getLogger("buslog.dashboard")

_TITLES: list[tuple[type[BuslogError], str]] = [
    (OutcomeUnknown, words.MAY_BE_DONE),
    (DatabaseUnavailable, words.DATABASE_AWAY),
    (Misconfigured, words.NOT_SET_UP),
    (InvalidFilter, words.CANNOT_BE_ASKED),
    (RoleTooLow, words.MAY_NOT_DO),
    (NotFound, words.NO_SUCH_THING),
    (UnknownCommand, words.NO_SUCH_COMMAND),
]


class Told(Exception):
    """A page has shown what was wrong, and how to go on: it ends here, and the frame closes it."""


def show(error: BuslogError) -> None:
    """What was wrong, where, and how to mend it."""
    headline = next((title for kind, title in _TITLES if isinstance(error, kind)), words.CANNOT_BE_DONE)
    if isinstance(error, DatabaseUnavailable) and error.field == "query":
        headline = words.TOOK_TOO_LONG
    with st.container(border=True):
        st.markdown(f":material/error: **{headline}**")
        rule = "" if error.rule == "exists" else error.rule  # the headline says that it does not
        markup.facts([("What", error.field), ("Rule", rule), ("Was", error.was[:200]), ("Limit", error.limit)])
        if error.mend:
            markup.quiet(error.mend)


def show_unknown(error: BaseException) -> None:
    """A fault of ours: a reference for the reader, everything else for the log."""
    reference = secrets.token_hex(4)
    _log.error("dashboard error %s", reference, exc_info=error)
    with st.container(border=True):
        st.markdown(words.NOT_SHOWN)
        markup.quiet(words.NOT_SHOWN_MORE.format(reference=reference))


@contextmanager
def shown() -> Iterator[None]:
    """A part of a page that may fail alone: the rest is still shown."""
    try:
        yield
    except BuslogError as error:
        show(error)
    except Exception as error:  # noqa: BLE001  (the last resort of a screen)
        show_unknown(error)


@contextmanager
def told_above() -> Iterator[None]:
    """A small part that is left out while the database is away: the page says so, once."""
    with shown(), suppress(DatabaseUnavailable):
        yield


def handle_script_error(error: Exception) -> bool:
    """For `st.App`: what escaped a page or a callback. True: Streamlit shows nothing of its own."""
    if isinstance(error, BuslogError):
        show(error)
    else:
        show_unknown(error)
    return True
