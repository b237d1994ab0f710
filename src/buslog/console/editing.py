"""Edit and re-emit: the payload of a message in a form or as JSON, the difference, and one button that sends it."""

from __future__ import annotations

import json
import re
import secrets
from html import escape
from typing import Any
from uuid import UUID

import streamlit as st

from buslog.console import access, acting, documents, markup, words
from buslog.errors import BuslogError
from buslog.insights import DeliveryDetail, MessageDetail
from buslog.message import State
from buslog.reemission import VERB

MOST_FIELDS = 60  # a larger payload is edited as JSON
LONGEST_LINE = 80  # characters: a longer text, or one of several lines, gets a larger box
LONGEST_SHOWN = 400  # characters of a value in the difference
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_TOKEN, _FAULT = "editing.token", "editing.fault"


def button(message: MessageDetail, deliveries: list[DeliveryDetail]) -> None:
    """Opens the dialog; says why not where it cannot."""
    why_not = _why_not(message)
    pressed = st.button(
        words.EDIT, icon=":material/edit:", key="edit.open", disabled=bool(why_not), help=why_not or words.EDIT_MORE,
    )  # fmt: skip
    if pressed:
        st.session_state[_TOKEN] = secrets.token_hex(8)
        st.session_state.pop(_FAULT, None)
        _dialog(message, deliveries)


def _why_not(message: MessageDetail) -> str | None:
    if message.is_masked:
        return words.EDIT_MASKED
    return words.EDIT_TOO_LARGE if message.payload_is_cut else access.may(VERB)


@st.dialog(words.EDIT, width="large", icon=":material/edit:")
def _dialog(message: MessageDetail, deliveries: list[DeliveryDetail]) -> None:
    token = st.session_state.get(_TOKEN, "")
    if acting.is_done(token):
        st.rerun()
    markup.title(message.name, quiet=words.EDIT_MORE)
    old = documents.parse(message.payload)
    text, fault = _edited(old, key=f"edit.{token}")
    changes = [] if fault else list(documents.difference(old, documents.parse(text)))
    if fault:
        _complain(fault)
    elif changes:
        st.html(_table(changes))
    else:
        markup.quiet(words.EDIT_NOT_CHANGED)
    refused: BuslogError | None = st.session_state.get(_FAULT)
    if refused:
        _complain(f"{refused.field} {refused.rule}. {refused.mend}")
    _warn(message, deliveries)
    st.text_input(words.REASON_LABEL, key=f"edit.{token}.reason", max_chars=200, placeholder=words.REASON_HINT)
    why_not = words.EDIT_WHY_NOT["fault"] if fault else "" if changes else words.EDIT_WHY_NOT["same"]
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(words.EDIT_LEAVE, key="edit.leave"):
            st.rerun()
        st.button(
            words.EDIT_SEND, type="primary", key="edit.send", icon=":material/send:", disabled=bool(why_not),
            help=why_not or None, on_click=_send, args=(message.id, text, token),
        )  # fmt: skip


def _edited(old: Any, *, key: str) -> tuple[str, str | None]:
    """The payload as it was typed, and what is wrong with it."""
    fields = list(documents.leaves(old))
    choices = [words.EDIT_BY_FIELD, words.EDIT_AS_JSON]
    if len(fields) > MOST_FIELDS or not old:
        choices = choices[1:]
    how = st.segmented_control(words.EDIT_HOW, choices, default=choices[0], required=True, key=f"{key}.how",
                               label_visibility="collapsed")  # fmt: skip
    if how != words.EDIT_AS_JSON:
        return _by_field(old, fields, key)
    text = st.text_area("JSON", value=documents.pretty(old), height=340, key=f"{key}.json")
    try:
        document = documents.parse(text)
    except json.JSONDecodeError as error:
        return text, f"{words.EDIT_NO_JSON}: {error.msg}, line {error.lineno}, column {error.colno}"
    except RecursionError:
        return text, words.EDIT_NO_JSON
    return text, None if isinstance(document, dict) else words.EDIT_NO_OBJECT


def _by_field(old: Any, fields: list[tuple[documents.Path, Any]], key: str) -> tuple[str, str | None]:
    given: dict[documents.Path, Any] = {}
    fault = None
    with st.container(height=360, border=True):
        for path, value in fields:
            label, name = markup.literal(documents.path_text(path)), f"{key}.{documents.path_text(path)}"
            given[path], wrong = _ask(label, value, name)
            fault = fault or (f"{documents.path_text(path)} {wrong}" if wrong else None)
    return documents.pretty(documents.with_leaves(old, given)), fault


def _ask(label: str, value: Any, key: str) -> tuple[Any, str | None]:
    """One value, asked for as what it is."""
    if isinstance(value, bool):
        return st.checkbox(label, value=value, key=key), None
    if isinstance(value, documents.Number):
        typed = st.text_input(label, value=str(value), key=key).strip()
        is_number = _NUMBER.fullmatch(typed) is not None
        return documents.Number(typed) if is_number else value, None if is_number else words.EDIT_NUMBER
    if isinstance(value, str):
        if len(value) > LONGEST_LINE or "\n" in value:
            return st.text_area(label, value=value, key=key, height=100), None
        return st.text_input(label, value=value, key=key), None
    # null, and what is empty: another kind of value is given as JSON.
    st.text_input(label, value=documents.pretty(value), key=key, disabled=True, help=words.EDIT_EMPTY)
    return value, None


def _table(changes: list[documents.Change]) -> str:
    head = "".join(f'<th style="{_CELL};text-align:left;opacity:.66">{escape(title)}</th>'
                   for title in (words.EDIT_PATH, words.EDIT_OLD, words.EDIT_NEW))  # fmt: skip
    rows = "".join(
        f'<tr><td style="{_CELL}">{escape(change.path)}</td>'
        f'<td style="{_CELL};{_MONO}">− {_value(change.old)}</td><td style="{_CELL};{_MONO};font-weight:600">'
        f"+ {_value(change.new)}</td></tr>"
        for change in changes
    )
    return (
        f'<div style="font-weight:600">{escape(words.EDIT_CHANGES)}</div>'
        f'<table style="width:100%;border-collapse:collapse;font-size:.875rem"><tr>{head}</tr>{rows}</table>'
    )


def _value(text: str | None) -> str:
    if text is None:
        return f'<i style="opacity:.66">{escape(words.EDIT_NOTHING)}</i>'
    return escape(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")


_CELL = "border:0;border-bottom:1px solid rgba(128,136,152,.25);padding:.3rem .6rem;vertical-align:top"
_MONO = "font-family:ui-monospace,SFMono-Regular,Menlo,monospace;white-space:pre-wrap;overflow-wrap:anywhere"


def _warn(message: MessageDetail, deliveries: list[DeliveryDetail]) -> None:
    """Whom it reaches: also those who have done their work."""
    again = [d.subscription for d in deliveries if d.is_latest and d.state is State.SUCCEEDED]
    more = f", {words.EDIT_ALSO.format(subscriptions=', '.join(map(words.short, again)))}" if again else "."
    st.html(markup.sentence(words.EDIT_TO_ALL.format(name=message.name) + more))


def _complain(text: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(":red[:material/error:]", width="content")
        st.text(text)


def _send(message_id: UUID, text: str, token: str) -> None:
    if acting.is_done(token):
        return
    reason = st.session_state.get(f"edit.{token}.reason") or ""
    try:
        access.reemission().emit_edited(message_id, text, reason=reason)
    except BuslogError as error:
        st.session_state[_FAULT] = error
        return
    acting.mark_done(token)
    st.session_state.pop(_FAULT, None)
    acting.remember(words.EDIT_DONE)
