"""The widgets of a form's fields. Inside `st.form`: what is typed arrives when the form is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import streamlit as st

from buslog.console import markup
from buslog.console.forms import Field, Input

_SAFE = 2**53 - 1  # what a browser counts exactly


def ask(fields: tuple[Field, ...], faults: Mapping[str, str], *, key: str) -> dict[str, Any]:
    """Shows the fields, each with its fault below it; gives back what was typed, by field name."""
    typed: dict[str, Any] = {}
    for field in fields:
        if field.input is Input.GROUP:
            with st.container(border=True):
                markup.title(field.label, quiet=field.help)
                typed |= ask(field.fields, faults, key=key)
        else:
            typed[field.name] = _widget(field, f"{key}.{field.name}")
        fault(faults.get(field.name))
    return typed


def fault(text: str | None) -> None:
    if text:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(":red[:material/error:]", width="content")
            st.text(text)


def _widget(field: Field, key: str) -> Any:
    label = markup.literal(field.label) + ("" if field.is_required else " · optional")
    shown: dict[str, Any] = {"key": key, "help": markup.literal(field.help) or None}
    match field.input:
        case Input.INTEGER | Input.NUMBER:
            return _number(field, label, shown)
        case Input.BOOLEAN:
            if field.is_required or isinstance(field.default, bool):
                return st.checkbox(label, value=bool(field.default), **shown)
            return st.selectbox(label, [True, False], index=None, placeholder="Not given", **shown)
        case Input.CHOICE:
            index = field.choices.index(field.default) if field.default in field.choices else None
            return st.selectbox(label, field.choices, index=index, placeholder="Choose", **shown)
        case Input.DATE:
            return st.date_input(
                label, value=_parsed(date, field.default), format="YYYY-MM-DD",
                min_value=date(1900, 1, 1), max_value=date(2199, 12, 31), **shown,
            )  # fmt: skip
        case Input.TIME:
            return st.datetime_input(
                f"{label} (UTC)", value=_parsed(datetime, field.default), format="YYYY-MM-DD",
                step=timedelta(minutes=1), **shown,
            )  # fmt: skip
        case Input.LIST:
            lines = "\n".join(str(item) for item in field.default or ())
            return st.text_area(f"{label}, one a line", value=lines, height=100, **shown)
        case Input.JSON:
            return st.text_area(f"{label}, as JSON", height=100, **shown)
        case _:
            return st.text_input(label, value=str(field.default or ""), max_chars=field.longest, **shown)


def _number(field: Field, label: str, shown: dict[str, Any]) -> Any:
    if field.input is Input.INTEGER:
        # A browser's number would lose digits above 2^53: such a field is typed as text.
        bounds = (field.least, field.most)
        if any(bound is not None and abs(bound) > _SAFE for bound in bounds):
            return st.text_input(label, value="" if field.default is None else str(field.default), **shown)
        least, most = (None if bound is None else int(bound) for bound in bounds)
        return st.number_input(label, value=field.default, min_value=least, max_value=most, step=1, **shown)
    return st.number_input(label, value=field.default, step=None, format="%g", **shown)


def _parsed(kind: type[date], text: Any) -> Any:
    try:
        return kind.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
