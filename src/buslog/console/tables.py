"""The table whose rows are selected: failed deliveries, in a grid of Streamlit's. It shows cells literally; its own
sort and search act on the page that is shown. What is only read is a list (`lists`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

import pyarrow as pa
import streamlit as st

from buslog.console import clock, filter_links, frame, words
from buslog.insights import LogRow

ROW_HEIGHT = 34
WIDEST, NARROWEST = 300, 149  # pixels, of a column of texts
ROOM = 1126 - 34  # pixels, of a page at 1280 without the boxes that select rows


ColumnConfig: TypeAlias = Any  # Streamlit's is not public


@dataclass(frozen=True, slots=True)
class Column:
    """Its values, its width in pixels, and Streamlit's configuration for a width."""

    values: Sequence[Any]
    width: int
    config: Callable[[int], ColumnConfig]


def failed_table(rows: Sequence[LogRow], *, key: str, key_field: str) -> list[LogRow]:
    """Failed deliveries, a button each that opens its message. Gives back the selected.

    `key` must change with the rows: a grid keeps the *positions* of what was selected when its data changes.
    """
    columns = {
        "open": _opener(key, [row.message_id for row in rows]),
        "emitted": _time("Emitted", [row.emitted_at for row in rows]),
        "name": _text("Name", [row.name for row in rows]),
        "key": _keys(key, key_field, [row.key or "" for row in rows]),
        "subscription": _text("Subscriber", [words.short(row.subscription or "") for row in rows]),
        "replays": _text(words.REPLAYS_COLUMN, [words.replays(row) for row in rows]),
        "attempts": _text("Attempts", ["" if row.attempts is None else str(row.attempts) for row in rows], right=True),
        "error": _text("Last error", [_error(row) for row in rows]),
    }
    if not any(columns["replays"].values):
        del columns["replays"]
    chosen = _grid(columns, key=key, alt="Failed deliveries, newest first")
    return [rows[at] for at in chosen["selection"]["rows"] if at < len(rows)]


# ── columns ─────────────────────────────────────────────────────────────────────


def _text(label: str, values: Sequence[str], *, right: bool = False) -> Column:
    """As wide as its longest text."""
    alignment: Literal["left", "right"] = "right" if right else "left"
    return Column(
        values,
        max(map(_pixels, [label, *values])) + 20,
        lambda width: st.column_config.TextColumn(label, width=width, alignment=alignment),
    )


def _pixels(text: str) -> int:
    """About how wide a text is."""
    return round(sum(8.3 if letter.isupper() else 6.5 for letter in text[:100]))


def _time(label: str, values: Sequence[datetime | None]) -> Column:
    return Column(
        values,
        max(148, _pixels(f"{label} ({clock.zone()})") + 20),
        lambda width: st.column_config.DatetimeColumn(
            f"{label} ({clock.zone()})", format="YYYY-MM-DD HH:mm:ss", timezone=clock.zone(), width=width
        ),
    )


def _opener(key: str, ids: list[UUID]) -> Column:
    # The ids go with the rows that are shown now: a click names a place among them.
    click = f"{key}.open"
    return Column(
        ["Open"] * len(ids),
        64,
        lambda width: st.column_config.ButtonColumn("", key=click, on_click=_open, args=(click, ids), width=width),
    )


def _open(click: str, ids: list[UUID]) -> None:
    pressed = st.session_state.get(click)
    if pressed and pressed.row < len(ids):
        st.switch_page(frame.MESSAGE, query_params={"id": str(ids[pressed.row])})


def _keys(table: str, label: str, keys: list[str]) -> Column:
    """Each leads to the page of its key."""
    click = f"{table}.key"
    return Column(
        keys,
        max(map(_pixels, [label, *keys])) + 34,
        lambda width: st.column_config.ButtonColumn(
            label, key=click, on_click=_open_key, args=(click, keys), type="tertiary", alignment="left", width=width
        ),
    )


def _open_key(click: str, keys: list[str]) -> None:
    pressed = st.session_state.get(click)
    if pressed and pressed.row < len(keys) and keys[pressed.row]:
        # The page of a key has a parameter that the Log has too: who comes back must not find the Log filtered by it.
        st.session_state[filter_links.LEFT_FOR] = {"key": [keys[pressed.row]]}
        st.switch_page(frame.KEY, query_params={"key": keys[pressed.row]})


def _error(row: LogRow) -> str:
    return f"{row.last_error_type}: {row.last_error or ''}" if row.last_error_type else ""


def _grid(columns: dict[str, Column], *, key: str, alt: str) -> Any:
    widths = _fitted(columns)
    data = pa.table({name: pa.array(column.values) for name, column in columns.items()})
    return st.dataframe(
        data,
        key=key,
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=(data.num_rows + 1) * ROW_HEIGHT + 3,
        on_select="rerun",
        selection_mode="multi-row",
        column_config={name: column.config(widths[name]) for name, column in columns.items()},
        alt=alt,
    )


def _fitted(columns: dict[str, Column]) -> dict[str, int]:
    """Widths that fill the room: the widest texts give way to the others, the last column takes what is left."""
    widths: dict[str, int] = {}
    for widest in range(WIDEST, NARROWEST, -10):
        widths = {name: min(column.width, widest) for name, column in columns.items()}
        if sum(widths.values()) <= ROOM:
            break
    *_, last = columns
    widths[last] += max(ROOM - sum(widths.values()), 0)
    return widths
