"""Plotly, drawn with graph_objects: `plotly.express` costs 295 ms to import, this 35."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, Literal

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from buslog.console import clock
from buslog.insights import Point, Release, Series

MESSAGES, ERRORS, FAILURES = "#5B7FE8", "#E69F00", "#D55E00"
_GRID = "rgba(128,136,152,.18)"
_LINE = "rgba(128,136,152,.75)"
_HATCH = {"fgcolor": "rgba(255,255,255,.55)", "size": 5, "fillmode": "overlay"}
PARTIAL = 0.45  # opacity of a bar that does not count all of its time
LABELLED = 4  # releases; more would lie over one another
LABEL_LENGTH = 14

What = Literal["messages", "errors", "failures"]


@dataclass(frozen=True, slots=True)
class Picked:
    """The bar that was clicked: its time, and what it counts."""

    since: datetime
    until: datetime
    what: What


def show(series: Series, *, key: str, on_pick: Callable[[Picked], None], releases: Sequence[Release] = ()) -> None:
    """The chart of a series; the bar that is clicked is given to `on_pick`."""

    def pick() -> None:
        found = picked(st.session_state.get(key))
        if found:
            on_pick(found)

    st.plotly_chart(
        activity(series, releases),
        key=key,
        on_select=pick,
        selection_mode="points",  # with boxes Streamlit takes no clicks
        config={"displayModeBar": False},
        alt=alt(series),
    )


def activity(series: Series, releases: Sequence[Release] = ()) -> go.Figure:
    """Messages, errors and failures over the same time, each in a panel of its own: a click means the panel's.

    `customdata` carries what a bar counts: its two ends, which it is, and a word when it does not count all of its
    bucket.
    """
    points, now = series.points, clock.now()
    notes = [_note(series, point, now) for point in points]
    opacity = [PARTIAL if note else 1.0 for note in notes]
    length = series.bucket / timedelta(milliseconds=1)
    figure = make_subplots(rows=3, cols=1, shared_xaxes=True, row_heights=[0.5, 0.25, 0.25], vertical_spacing=0.06)
    for row, what, color, pattern in (
        (1, "messages", MESSAGES, ""),
        (2, "errors", ERRORS, "/"),
        (3, "failures", FAILURES, ""),
    ):
        if what == "errors" and not series.knows_errors:
            continue
        name = "deliveries" if what == "messages" and series.counts_rows else what
        figure.add_trace(
            go.Bar(
                x=[point.at for point in points],
                y=[getattr(point, what) for point in points],
                xperiod=length, xperiod0=points[0].at if points else None, xperiodalignment="middle",
                name=name.capitalize(),
                customdata=[
                    [*(end.isoformat() for end in series.ends(point)), what, note]
                    for point, note in zip(points, notes, strict=True)
                ],
                marker={"color": color, "opacity": opacity, "line": {"width": 0},
                        "pattern": {**_HATCH, "shape": pattern}},
                hovertemplate=f"%{{y:,}} {name}%{{customdata[3]}}<extra></extra>",
            ),
            row=row, col=1,
        )  # fmt: skip
    _dress(figure, series)
    _mark(figure, series, releases)
    return figure


def _note(series: Series, point: Point, now: datetime) -> str:
    since, until = series.ends(point)
    if until > now:
        return " so far"
    return " of a part" if until - since < series.bucket else ""


def _dress(figure: go.Figure, series: Series) -> None:
    figure.update_layout(
        height=370, margin={"l": 8, "r": 8, "t": 34, "b": 4}, bargap=0.18, barmode="group",
        hovermode="x unified", dragmode=False, showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.14, "yanchor": "top"},
    )  # fmt: skip
    figure.update_xaxes(showgrid=False, tickformatstops=_TICKS, hoverformat=_hover_format(series.bucket))
    if series.points:
        figure.update_xaxes(range=[series.points[0].at, series.points[-1].at + series.bucket])
    kinds: tuple[What, ...] = ("messages", "errors", "failures")
    for row, most in enumerate((_most(series, kind) for kind in kinds), 1):
        # Whole numbers only, and an empty panel that does not pretend to a scale.
        ticks = 3 if row == 1 else 1
        figure.update_yaxes(
            row=row, col=1, rangemode="tozero", gridcolor=_GRID, zeroline=False, tickformat="~s", nticks=ticks + 1,
            range=[0, most * 1.12 if most else 1], dtick=1 if most <= ticks else None,
            showticklabels=most > 0, automargin=True, fixedrange=True,
        )  # fmt: skip
        if row > 1 and most:
            figure.update_yaxes(row=row, col=1, tickvals=[0, most])  # there is room for two: the second says the scale


def _mark(figure: go.Figure, series: Series, releases: Sequence[Release]) -> None:
    """A line where a release was first seen; the newest with their labels."""
    if not series.points:
        return
    first, last = series.points[0].at, series.points[-1].at + series.bucket
    for place, release in enumerate(one for one in releases if first <= one.first_seen <= last):
        line = {"width": 1, "dash": "dot", "color": _LINE}
        figure.add_shape(type="line", x0=release.first_seen, x1=release.first_seen, xref="x", y0=0, y1=1,
                         yref="paper", line=line)  # fmt: skip
        if place < LABELLED:
            label = release.version if len(release.version) <= LABEL_LENGTH else f"{release.version[:LABEL_LENGTH]}…"
            is_late = release.first_seen > last - (last - first) * 0.12
            figure.add_annotation(
                x=release.first_seen, xref="x", y=1, yref="paper", text=escape(label), showarrow=False,
                xanchor="right" if is_late else "left", yanchor="top", yshift=-13 * place, font={"size": 11},
            )  # fmt: skip


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


def _most(series: Series, what: What) -> int:
    return max((getattr(point, what) for point in series.points), default=0)


def _hover_format(bucket: timedelta) -> str:
    if bucket >= timedelta(days=1):
        return "%Y-%m-%d"
    return "%Y-%m-%d %H:%M:%S" if bucket < timedelta(minutes=1) else "%Y-%m-%d %H:%M"


_MINUTE, _DAY = 60_000, 86_400_000
_TICKS = [
    {"dtickrange": [None, _MINUTE], "value": "%H:%M:%S"},
    {"dtickrange": [_MINUTE, _DAY], "value": "%H:%M\n%d %b"},
    {"dtickrange": [_DAY, "M1"], "value": "%d %b\n%Y"},
    {"dtickrange": ["M1", "M12"], "value": "%b\n%Y"},
    {"dtickrange": ["M12", None], "value": "%Y"},
]
