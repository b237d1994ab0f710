"""Small pieces of HTML that show untrusted text literally: everything given is escaped, nothing is Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import streamlit as st

TITLED = "markup.titled"  # of the session: whether the page has said its title

_MUTED = "opacity:.66"


def heading(text: str, *, before: str = "") -> None:
    """A page's title that is data: a message's name."""
    lead = f'<span style="{_MUTED};font-weight:400">{escape(before)}</span> ' if before else ""
    st.html(
        f'<h1 style="font-size:1.6rem;font-weight:600;margin:0;padding:0;line-height:1.25;overflow-wrap:anywhere">'
        f"{lead}{escape(text)}</h1>"
    )
    st.session_state[TITLED] = True


def title(text: str, *, quiet: str = "") -> None:
    """The title of a card that is data, with a quiet second line."""
    below = f'<div style="{_MUTED};font-size:.85rem;overflow-wrap:anywhere">{escape(quiet)}</div>' if quiet else ""
    st.html(f'<div style="font-weight:600;overflow-wrap:anywhere">{escape(text)}</div>{below}')


def quiet(text: str) -> None:
    st.html(f'<div style="{_MUTED};font-size:.85rem;overflow-wrap:anywhere">{escape(text)}</div>')


def lines(content: str) -> None:
    """Lines that were made of escaped pieces, in a box that scrolls sideways before it breaks the page."""
    st.html(f'<div style="overflow-x:auto">{content}</div>')


def link(address: str, text: str, *, is_outside: bool = False, label: str = "") -> str:
    """A link within the app, or to another system: as HTML, escaped. `label`: what a sign stands for."""
    where = 'target="_blank" rel="noopener noreferrer"' if is_outside else 'target="_self"'
    if label:
        where += f' aria-label="{escape(label)}" title="{escape(label)}"'
    return (
        f'<a href="{escape(address)}" {where} style="color:inherit;text-decoration:underline;'
        f'text-underline-offset:.2em;text-decoration-color:rgba(128,136,152,.6)">{escape(text)}</a>'
    )


def sentence(text: str, *links: str) -> str:
    """A sentence and the links that follow it, as HTML; the links are HTML of `link`."""
    return f'<div style="overflow-wrap:anywhere;font-size:.9rem">{escape(text)} {" ".join(links)}</div>'


def quiet_lines(texts: Iterable[str]) -> None:
    """Quiet lines, close to each other."""
    inside = "".join(f"<div>{escape(text)}</div>" for text in texts)
    st.html(f'<div style="{_MUTED};font-size:.85rem;line-height:1.5;overflow-wrap:anywhere">{inside}</div>')


def keys(pairs: Iterable[tuple[str, str]]) -> None:
    """Keys of the keyboard, each of one width, and what they do."""
    rows = "".join(
        '<kbd style="border:1px solid rgba(128,136,152,.6);border-radius:4px;text-align:center;font:inherit;'
        f'font-size:.85rem;line-height:1.5rem">{escape(key)}</kbd><span>{escape(told)}</span>'
        for key, told in pairs
    )
    st.html(f'<div style="display:grid;grid-template-columns:1.75rem 1fr;gap:.4rem .75rem">{rows}</div>')


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Labels and values in a row that wraps; those without a value are left out."""
    cells = "".join(
        f'<div style="min-width:0"><div style="{_MUTED};font-size:.75rem">{escape(label)}</div>'
        f'<div style="font-variant-numeric:tabular-nums;overflow-wrap:anywhere">{escape(value)}</div></div>'
        for label, value in pairs
        if value
    )
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:.5rem 1.75rem">{cells}</div>')


def error(error_type: str, message: str, frame: str | None = None) -> None:
    """An attempt's error: type, message and the place in the subscriber's own code."""
    head = f"<b>{escape(error_type)}</b>" if error_type else ""
    where = f'<div style="{_MUTED};font-size:.8rem;margin-top:.2rem">{escape(frame)}</div>' if frame else ""
    st.html(
        '<div style="border-left:3px solid #D55E00;padding:.1rem 0 .1rem .7rem;overflow-wrap:anywhere;'
        f'font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.85rem">'
        f'{head}<div style="white-space:pre-wrap">{escape(message)}</div>{where}</div>'
    )


def note(text: str, quiet: str = "") -> None:
    """What somebody wrote, its lines as they are; below it who and when."""
    signed = f'<div style="{_MUTED};font-size:.8rem">{escape(quiet)}</div>' if quiet else ""
    st.html(
        '<div style="border-left:3px solid rgba(128,136,152,.45);padding:.1rem 0 .1rem .7rem;overflow-wrap:anywhere">'
        f'<div style="white-space:pre-wrap">{escape(text)}</div>{signed}</div>'
    )


def links(rows: Iterable[tuple[str, str, str]]) -> None:
    """A line each: a link that opens beside this page, and what stands quietly after it."""
    lines = "".join(
        f'<div style="overflow-wrap:anywhere"><a href="{escape(address)}" target="_blank" style="color:inherit">'
        f'{escape(label)}</a> <span style="{_MUTED};font-size:.85rem">{escape(quiet)}</span></div>'
        for label, address, quiet in rows
    )
    st.html(lines)


def download(label: str, address: str, *, help_: str = "") -> None:
    """A link to a file of our own, looking like a quiet button."""
    st.html(  # as wide as its label
        f'<a href="{escape(address)}" download title="{escape(help_)}" style="display:inline-block;'
        "padding:.5rem .75rem;border:1px solid rgba(128,136,152,.35);border-radius:8px;color:inherit;"
        f'font-size:.875rem;line-height:1.45;text-decoration:none;white-space:nowrap">{escape(label)}</a>',
        width="content",
    )


def literal(text: str) -> str:
    """Text for a label that takes Markdown: letters stay letters."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|~:$&" else c for c in text)
