"""The widgets of a form's fields. What is typed has the payload's shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import streamlit as st

from buslog.console import markup, words
from buslog.console.forms import Field, Input

_SAFE = 2**53 - 1  # what a browser counts exactly
_SHOWN_FIRST = 1  # rows of an empty list that must hold something

Faults = Mapping[str, str]


def ask(fields: Sequence[Field], faults: Faults, start: Mapping[str, Any], *, key: str, at: str = "") -> dict[str, Any]:
    """Shows the fields, each with its fault below it; gives back what was typed, by field.

    start: what they hold before anybody types. at: the path of the object that they belong to, for its faults.
    """
    return {
        field.path[-1]: _ask_one(field, faults, start.get(field.path[-1]), f"{key}.{field.path[-1]}",
                                 f"{at}{field.path[-1]}")
        for field in fields
    }  # fmt: skip


def fault(text: str | None) -> None:
    if text:
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(":red[:material/error:]", width="content")
            st.text(text)


def _ask_one(field: Field, faults: Faults, start: Any, key: str, at: str) -> Any:
    if field.input is Input.GROUP:
        typed: Any = _group(field, faults, start, key, at)
    elif field.input is Input.LIST:
        typed = _list(field, faults, start, key, at)
    else:
        typed = _widget(field, field.default if start is None else start, key)
    fault(faults.get(at))
    return typed


def _group(field: Field, faults: Faults, start: Any, key: str, at: str) -> dict[str, Any] | None:
    given = start if isinstance(start, Mapping) else None
    with st.container(border=True):
        if field.is_required:
            markup.title(field.label, quiet=_help(field))
        elif not st.toggle(
            f"{markup.literal(field.label)} · optional",
            value=bool(given),
            key=key,
            help=markup.literal(_help(field)) or None,
        ):
            return None
        return ask(field.fields, faults, given or {}, key=key, at=f"{at}.")


def _list(field: Field, faults: Faults, start: Any, key: str, at: str) -> list[Any]:
    """Rows that can be added and taken away; each keeps its widgets, wherever it stands."""
    given = [*(start if isinstance(start, list) else field.default or ())]
    if not given and field.is_required:
        given = [None] * _SHOWN_FIRST
    rows: list[int] = st.session_state.setdefault(f"{key}.rows", list(range(len(given))))
    typed = []
    with st.container(border=True):
        markup.title(field.label + ("" if field.is_required else " · optional"), quiet=_help(field))
        for place, row in enumerate(rows):
            with st.container(horizontal=True, vertical_alignment="bottom"):
                with st.container():
                    shown = _row(field, place)
                    first = given[row] if row < len(given) else None
                    typed.append(_ask_one(shown, faults, first, f"{key}.{row}", f"{at}.{place}"))
                st.button("", icon=":material/close:", key=f"{key}.{row}.remove", type="tertiary", on_click=_remove,
                          args=(f"{key}.rows", row), help=f"Remove {place + 1}")  # fmt: skip
        is_full = field.most_items is not None and len(rows) >= field.most_items
        why_not = words.FAULTS["maxItems"].format(field.most_items) if is_full else None
        st.button(words.ADD_TO.format(field=markup.literal(field.label)), icon=":material/add:", key=f"{key}.add",
                  disabled=is_full, help=why_not, on_click=_add, args=(f"{key}.rows", len(given)))  # fmt: skip
    return typed


def _row(field: Field, place: int) -> Field:
    """A list's item as the field that it is at its place."""
    assert field.item is not None
    return replace(field.item, label=f"{place + 1}", is_required=True)


def _add(rows: str, unused: int) -> None:
    held = st.session_state[rows]
    st.session_state[rows] = [*held, max([*held, unused - 1]) + 1]


def _remove(rows: str, row: int) -> None:
    st.session_state[rows] = [one for one in st.session_state[rows] if one != row]


def _help(field: Field) -> str:
    rules = ", ".join(field.rules)
    return f"{field.help} ({rules})" if field.help and rules else field.help or rules


def _widget(field: Field, start: Any, key: str) -> Any:
    label = markup.literal(field.label) + ("" if field.is_required else " · optional")
    rules = ", ".join(field.rules)
    if rules:
        label += f" · {markup.literal(rules)}"
    shown: dict[str, Any] = {"key": key, "help": markup.literal(field.help) or None}
    match field.input:
        case Input.INTEGER | Input.NUMBER:
            return _number(field, start, label, shown)
        case Input.BOOLEAN:
            if field.is_required or isinstance(field.default, bool):
                return st.checkbox(label, value=start is True, **shown)
            index = [True, False].index(start) if isinstance(start, bool) else None
            return st.selectbox(label, [True, False], index=index, placeholder=words.NOT_GIVEN, **shown)
        case Input.CHOICE:
            index = field.choices.index(start) if start in field.choices else None
            return st.selectbox(label, field.choices, index=index, placeholder="Choose", **shown)
        case Input.DATE:
            return st.date_input(
                label, value=_parsed(date, start), format="YYYY-MM-DD",
                min_value=date(1900, 1, 1), max_value=date(2199, 12, 31), **shown,
            )  # fmt: skip
        case Input.TIME:
            return st.datetime_input(
                f"{label} (UTC)", value=_parsed(datetime, start), format="YYYY-MM-DD",
                step=timedelta(minutes=1), **shown,
            )  # fmt: skip
        case Input.JSON:
            value = "" if start is None else json.dumps(start, indent=2, ensure_ascii=False)
            return st.text_area(words.AS_JSON.format(label=label), value=value, height=100, **shown)
        case _:
            return st.text_input(label, value="" if start is None else str(start), max_chars=field.longest, **shown)


def _number(field: Field, start: Any, label: str, shown: dict[str, Any]) -> Any:
    number = start if isinstance(start, int | float) and not isinstance(start, bool) else None
    # A browser's number would lose digits above 2^53, and refuses a start beyond its bounds: such a field is typed as
    # text, and the schema tells what is wrong with it.
    held = [value for value in (field.least, field.most, number) if value is not None]
    is_within = number is None or (
        (field.least is None or number >= field.least) and (field.most is None or number <= field.most)
    )
    is_exact = field.input is Input.NUMBER or (
        field.least is not None and field.most is not None and all(abs(value) <= _SAFE for value in held)
    )
    if not (is_exact and is_within) or (start is not None and number is None):
        return st.text_input(label, value="" if start is None else str(start), **shown)
    if field.input is Input.INTEGER:
        least, most = (None if bound is None else int(bound) for bound in (field.least, field.most))
        return st.number_input(
            label, value=None if number is None else int(number), min_value=least, max_value=most, step=1, **shown
        )
    return st.number_input(label, value=None if number is None else float(number), step=None, format="%g", **shown)


def _parsed(kind: type[date], text: Any) -> Any:
    try:
        moment = kind.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if isinstance(moment, datetime) and moment.tzinfo else moment
