"""Plotly, drawn with graph_objects: `plotly.express` costs 295 ms to import, this 35."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go
import plotly.io
import streamlit as st

from buslog.console import clock
from buslog.insights import Overview, Point, Release, Series

MESSAGES, ERRORS, FAILURES = "#5B7FE8", "#E69F00", "#D55E00"
_GRID = "rgba(128,136,152,.18)"
_LINE = "rgba(128,136,152,.75)"
_HATCH = {"fgcolor": "rgba(255,255,255,.55)", "size": 5, "fillmode": "overlay"}
PARTIAL = 0.45  # opacity of a bar that does not count all of its time
LABELLED = 4  # releases; more would lie over one another
LABEL_LENGTH = 14

What = Literal["messages", "errors", "failures"]
_KINDS: tuple[tuple[What, str, str], ...] = (
    ("messages", MESSAGES, ""),
    ("errors", ERRORS, "/"),
    ("failures", FAILURES, ""),
)
_PANELS = ([0.56, 1.0], [0.28, 0.5], [0.0, 0.22])  # from the top: the first is twice as high


@dataclass(frozen=True, slots=True)
class Picked:
    """The bar that was clicked: its time, and what it counts."""

    since: datetime
    until: datetime
    what: What


class Drawn(go.Figure):  # type: ignore[misc]  # Plotly has no types
    """A figure in the words of JSON, made once for all who are shown it: of Plotly's own all is copied, and what JSON
    does not know looked for, each time that it is shown.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(description)
        self._told: dict[str, Any] = json.loads(plotly.io.to_json(super().to_dict(), validate=False))

    def to_dict(self) -> dict[str, Any]:
        return self._told


def show(series: Series, figure: go.Figure, *, key: str, on_pick: Callable[[Picked], None]) -> None:
    """The chart of a series, drawn as `figure`; the bar that is clicked is given to `on_pick`."""

    def pick() -> None:
        found = picked(st.session_state.get(key))
        if found:
            on_pick(found)

    st.plotly_chart(
        figure,
        key=key,
        on_select=pick,
        selection_mode="points",  # with boxes Streamlit takes no clicks
        config={"displayModeBar": False},
        alt=alt(series),
    )


def of_overview(seen: Overview) -> Drawn:
    return activity(seen.series, seen.releases)


def activity(series: Series, releases: Sequence[Release] = ()) -> Drawn:
    """Messages, errors and failures over the same time, each in a panel of its own: a click means the panel's.

    `customdata` carries what a bar counts: its two ends, which it is, and a word when it does not count all of its
    bucket.
    """
    # As one description: put together by calls, Plotly checks the figure at each of them (22 ms, and not 4).
    lines, labels = _marks(series, releases)
    return Drawn({"data": list(_bars(series)), "layout": {**_layout(series), "shapes": lines, "annotations": labels}})


def _bars(series: Series) -> Iterator[dict[str, Any]]:
    points, now = series.points, clock.now()
    notes = [_note(series, point, now) for point in points]
    starts = [point.at.isoformat() for point in points]
    ends = [[end.isoformat() for end in series.ends(point)] for point in points]
    for panel, (what, color, pattern) in enumerate(_KINDS, 1):
        if what == "errors" and not series.knows_errors:
            continue
        name = "deliveries" if what == "messages" and series.counts_rows else what
        yield {
            "type": "bar", "name": name.capitalize(), "xaxis": f"x{panel}", "yaxis": f"y{panel}",
            "x": starts, "y": [getattr(point, what) for point in points],
            "xperiod": series.bucket / timedelta(milliseconds=1), "xperiod0": starts[0] if starts else None,
            "xperiodalignment": "middle",
            "customdata": [[*both, what, note] for both, note in zip(ends, notes, strict=True)],
            "marker": {"color": color, "opacity": [PARTIAL if note else 1.0 for note in notes], "line": {"width": 0},
                       "pattern": {**_HATCH, "shape": pattern}},
            "hovertemplate": f"%{{y:,}} {name}%{{customdata[3]}}<extra></extra>",
        }  # fmt: skip


def _note(series: Series, point: Point, now: datetime) -> str:
    since, until = series.ends(point)
    if until > now:
        return " so far"
    return " of a part" if until - since < series.bucket else ""


def _layout(series: Series) -> dict[str, Any]:
    layout: dict[str, Any] = {
        # Fixed: where Plotly fits them to the labels, it draws everything twice.
        "height": 370, "margin": {"l": 40, "r": 8, "t": 34, "b": 40, "autoexpand": False},
        "bargap": 0.18, "barmode": "group",
        "hovermode": "x unified", "showlegend": True,
        "legend": {"orientation": "h", "x": 0, "y": 1.14, "yanchor": "top"},
        # What Streamlit sets where they are missing, each with another drawing of all bars.
        "dragmode": "pan", "clickmode": "event+select",
    }  # fmt: skip
    for panel, ((what, *_), domain) in enumerate(zip(_KINDS, _PANELS, strict=True), 1):
        is_last = panel == len(_KINDS)
        most = max((getattr(point, what) for point in series.points), default=0)
        # Whole numbers only, and an empty panel that does not pretend to a scale.
        ticks = 3 if panel == 1 else 1
        layout[f"xaxis{panel}"] = {
            "anchor": f"y{panel}", "domain": [0, 1], "matches": None if is_last else f"x{len(_KINDS)}",
            "showticklabels": is_last, "showgrid": False, "tickformatstops": _TICKS, "fixedrange": True,
            "hoverformat": _hover_format(series.bucket),
            "range": [series.points[0].at, series.points[-1].at + series.bucket] if series.points else None,
        }  # fmt: skip
        layout[f"yaxis{panel}"] = {
            "anchor": f"x{panel}", "domain": domain, "rangemode": "tozero", "gridcolor": _GRID, "zeroline": False,
            "tickformat": "~s", "nticks": ticks + 1, "range": [0, most * 1.12 if most else 1],
            "dtick": 1 if most <= ticks else None, "showticklabels": most > 0, "fixedrange": True,
        }  # fmt: skip
        if panel > 1 and most:
            layout[f"yaxis{panel}"]["tickvals"] = [0, most]  # there is room for two: the second says the scale
    return layout


def _marks(series: Series, releases: Sequence[Release]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A line where a release was first seen; the newest with their labels."""
    if not series.points:
        return [], []
    first, last = series.points[0].at, series.points[-1].at + series.bucket
    seen = [one for one in releases if first <= one.first_seen <= last]
    line = {"width": 1, "dash": "dot", "color": _LINE}
    lines = [
        {"type": "line", "x0": one.first_seen, "x1": one.first_seen, "xref": "x", "y0": 0, "y1": 1, "yref": "paper",
         "line": line}
        for one in seen
    ]  # fmt: skip
    labels = []
    for place, one in enumerate(seen[:LABELLED]):
        label = one.version if len(one.version) <= LABEL_LENGTH else f"{one.version[:LABEL_LENGTH]}…"
        is_late = one.first_seen > last - (last - first) * 0.12
        labels.append({
            "x": one.first_seen, "xref": "x", "y": 1, "yref": "paper", "text": escape(label), "showarrow": False,
            "xanchor": "right" if is_late else "left", "yanchor": "top", "yshift": -13 * place, "font": {"size": 11},
        })  # fmt: skip
    return lines, labels


def alt(series: Series) -> str:
    """The chart in a sentence, for those who cannot see it."""
    rows = "deliveries" if series.counts_rows else "messages"
    errors = f"{series.errors:,} errors and " if series.knows_errors else ""
    return f"{series.messages:,} {rows}, {errors}{series.failures:,} failures over time."


def picked(selection: Any) -> Picked | None:
    """What was clicked."""
    points = selection["selection"]["points"] if selection else []
    if not points or not points[0].get("customdata"):
        return None
    since, until, what = points[0]["customdata"][:3]
    return Picked(_moment(since), _moment(until), what)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _hover_format(bucket: timedelta) -> str:
    if bucket >= timedelta(days=1):
        return "%Y-%m-%d"
    return "%Y-%m-%d %H:%M:%S" if bucket < timedelta(minutes=1) else "%Y-%m-%d %H:%M"


_MINUTE, _DAY = 60_000, 86_400_000
_TICKS: list[dict[str, Any]] = [
    {"dtickrange": [None, _MINUTE], "value": "%H:%M:%S"},
    {"dtickrange": [_MINUTE, _DAY], "value": "%H:%M\n%d %b"},
    {"dtickrange": [_DAY, "M1"], "value": "%d %b\n%Y"},
    {"dtickrange": ["M1", "M12"], "value": "%b\n%Y"},
    {"dtickrange": ["M12", None], "value": "%Y"},
]
