"""Long tables. A grid shows cells literally; its own sort and search act on the page that is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

import pyarrow as pa
import streamlit as st

from buslog.console import auditing, clock, filter_links, frame, words
from buslog.insights import AuditRow, Item, LogRow
from buslog.message import State

ROW_HEIGHT = 34
WIDEST, NARROWEST = 300, 149  # pixels, of a column of texts
ROOM = 1126  # pixels, of a page at 1280
TICKS = 34  # the boxes that select rows


ColumnConfig: TypeAlias = Any  # Streamlit's is not public


@dataclass(frozen=True, slots=True)
class Column:
    """Its values, its width in pixels, and Streamlit's configuration for a width."""

    values: Sequence[Any]
    width: int
    config: Callable[[int], ColumnConfig]


def log_table(rows: Sequence[LogRow], *, key: str, key_field: str, are_failed: bool = False) -> list[LogRow]:
    """Deliveries, a button each that opens its message; failed ones can be selected. Gives back the selected.

    `key` must change with the rows: a grid keeps the *positions* of what was selected when its data changes.
    """
    errors = [_error(row) if are_failed else row.last_error_type or "" for row in rows]
    columns = {
        "open": _opener(key, [row.message_id for row in rows]),
        "emitted": _time("Emitted", [row.emitted_at for row in rows]),
        "name": _text("Name", [row.name for row in rows]),
        "key": _keys(key, key_field, [row.key or "" for row in rows]),
        "subscription": _text("Subscriber", [words.short(row.subscription or "") for row in rows]),
        "state": _states([row.state for row in rows], [bool(row.repeats) for row in rows]),
        "replays": _text(words.REPLAYS_COLUMN, [replays(row) for row in rows]),
        "attempts": _text("Attempts", ["" if row.attempts is None else str(row.attempts) for row in rows], right=True),
        "error": _text("Last error", errors),
    }
    if are_failed:
        del columns["state"]
    if not any(columns["replays"].values):
        del columns["replays"]
    room = ROOM - TICKS if are_failed else ROOM
    chosen = _grid(columns, key=key, room=room, can_select=are_failed, alt="Deliveries, newest first")
    return [rows[at] for at in chosen["selection"]["rows"] if at < len(rows)] if are_failed else []


def item_table(items: Sequence[Item], *, key: str, key_field: str, is_stopped: bool) -> None:
    """Deliveries of a run, a button each that opens its message."""
    columns = {
        "open": _opener(key, [item.message_id for item in items]),
        "emitted": _time("Emitted", [item.emitted_at for item in items]),
        "name": _text("Name", [item.name or "" for item in items]),
        "key": _text(key_field, [item.key or "" for item in items]),
        "subscription": _text("Subscriber", [words.short(item.subscription) for item in items]),
        "was": _text("Was", [str(item.was) for item in items]),
        "state": _text("Now", [words.item_label(item.state, is_stopped=is_stopped) for item in items]),
        "why": _text("Why", [_why(item) for item in items]),
    }
    _grid(columns, key=key, room=ROOM, alt="Deliveries of the run, oldest message first")


def _why(item: Item) -> str:
    told = (item.reason or item.error_type, "tried first" if item.is_canary else "",
            "superseded" if item.superseded and item.reason != "superseded" else "")  # fmt: skip
    return ", ".join(filter(None, told))


def audit_table(rows: Sequence[AuditRow], *, key: str, key_field: str, on_open: Callable[[int], None]) -> None:
    """Operations, a button each that opens it."""
    click = f"{key}.open"

    def opened() -> None:
        pressed = st.session_state.get(click)
        if pressed and pressed.row < len(rows):
            on_open(rows[pressed.row].id)

    columns = {
        "open": Column(
            ["Open"] * len(rows), 64,
            lambda width: st.column_config.ButtonColumn("", key=click, on_click=opened, width=width),
        ),
        "at": _time("When", [row.at for row in rows]),
        "actor": _text("Who", [row.actor for row in rows]),
        "verb": _text("What", [row.verb for row in rows]),
        "result": _text("Outcome", [words.DENIED_LABEL if row.is_denied else words.DONE_LABEL for row in rows]),
        "key": _text(key_field, [row.key or "" for row in rows]),
        "subscription": _text("Subscriber", [words.short(row.subscription or "") for row in rows]),
        "reason": _text("Why", [row.reason or "" for row in rows]),
        "said": _text("What came of it", [auditing.said(row) for row in rows]),
    }  # fmt: skip
    _grid(columns, key=key, room=ROOM, alt="What people did, newest first")


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


def _states(states: Sequence[State], are_again: Sequence[bool]) -> Column:
    """Wider where something was sent again after it had succeeded: that stands beside its state."""
    tones = {words.label(state): words.STATES[state].tone for state in State}
    tones[words.MESSAGE_SENT_AGAIN] = words.STATES[State.RETRYING].tone
    marks = [[words.MESSAGE_SENT_AGAIN] if is_again else [] for is_again in are_again]
    values = [[words.label(state), *mark] for state, mark in zip(states, marks, strict=True)]
    return _badges("State", values, tones, width=205 if any(are_again) else 108)


def _badges(label: str, values: Sequence[Sequence[str]], tones: Mapping[str, str], *, width: int) -> Column:
    """Words of a few, each in its tone."""
    return Column(
        values,
        width,
        lambda width: st.column_config.MultiselectColumn(
            label, options=list(tones), color=list(tones.values()), width=width
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


def replays(row: LogRow) -> str:
    """How often people have sent it again, and what came of it last. Of a cancelled one nobody can tell."""
    times = (row.generation or 1) - 1
    if times < 1 or row.state is State.CANCELLED:
        return ""
    said = words.REPLAYED if times > 1 else words.REPLAYED_ONCE
    return said.format(times=times, outcome=words.REPLAY_OUTCOMES.get(row.state, row.state))


def _error(row: LogRow) -> str:
    return f"{row.last_error_type}: {row.last_error or ''}" if row.last_error_type else ""


def _grid(columns: dict[str, Column], *, key: str, alt: str, room: int, can_select: bool = False) -> Any:
    widths = _fitted(columns, room)
    data = pa.table({name: pa.array(column.values) for name, column in columns.items()})
    return st.dataframe(
        data,
        key=key,
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=(data.num_rows + 1) * ROW_HEIGHT + 3,
        on_select="rerun" if can_select else "ignore",
        selection_mode="multi-row",
        column_config={name: column.config(widths[name]) for name, column in columns.items()},
        alt=alt,
    )


def _fitted(columns: dict[str, Column], room: int) -> dict[str, int]:
    """Widths that fill the room: the widest texts give way to the others, the last column takes what is left."""
    widths: dict[str, int] = {}
    for widest in range(WIDEST, NARROWEST, -10):
        widths = {name: min(column.width, widest) for name, column in columns.items()}
        if sum(widths.values()) <= room:
            break
    *_, last = columns
    widths[last] += max(room - sum(widths.values()), 0)
    return widths
