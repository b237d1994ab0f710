"""The menu that takes the rows of a filter away as a file."""

from __future__ import annotations

import streamlit as st

from buslog.console import markup, routes, words
from buslog.filter import Filter


def menu(filter_: Filter, rows: str) -> None:
    """A button that opens what a file may be. rows: how many it will hold, in words."""
    with st.popover("Export", icon=":material/download:", width="content"):
        markup.title(words.EXPORT_TITLE.format(rows=rows), quiet=words.EXPORT_MORE)
        for format_, (label, what_for) in words.EXPORTS.items():
            markup.download(label, routes.address(filter_, format_))
            markup.quiet(what_for)
