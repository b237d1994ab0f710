"""Plotly, drawn with graph_objects: `plotly.express` costs 295 ms to import, this 35."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from buslog.console import clock
from buslog.insights import Series

MESSAGES, ERRORS, FAILURES = "#5B7FE8", "#E69F00", "#D55E00"
_GRID = "rgba(128,136,152,.18)"
_HATCH = {"fgcolor": "rgba(255,255,255,.55)", "size": 5, "fillmode": "overlay"}
PARTIAL = 0.45  # opacity of a bucket that is not over yet


def show(series: Series, *, key: str, on_pick: Callable[[datetime, datetime], None]) -> None:
    """The chart of a series; a click on a bar gives the two ends of its bucket to `on_pick`."""

    def picked() -> None:
        bucket = chosen(st.session_state.get(key))
        if bucket:
            on_pick(*bucket)

    st.plotly_chart(
        activity(series),
        key=key,
        on_select=picked,
        selection_mode="points",
        config={"displayModeBar": False},
        alt=alt(series),
    )


def activity(series: Series) -> go.Figure:
    """Messages above, errors and failures below, over the same time. `customdata` carries a bucket's two ends."""
    points = series.points
    starts = [_on_axis(point.at) for point in points]
    ends = [[point.at.isoformat(), (point.at + series.bucket).isoformat()] for point in points]
    opacity = [PARTIAL if point.at + series.bucket > clock.now() else 1.0 for point in points]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.66, 0.34], vertical_spacing=0.06)
    for row, name, color, values, pattern in (
        (1, "Messages", MESSAGES, [point.messages for point in points], ""),
        (2, "Errors", ERRORS, [point.errors for point in points], "/"),
        (2, "Failures", FAILURES, [point.failures for point in points], ""),
    ):
        figure.add_trace(
            go.Bar(
                x=starts, y=values, name=name, customdata=ends,
                marker={"color": color, "opacity": opacity, "line": {"width": 0},
                        "pattern": {**_HATCH, "shape": pattern}},
                hovertemplate=f"%{{y:,}} {name.lower()}<extra></extra>",
            ),
            row=row, col=1,
        )  # fmt: skip
    _dress(figure, series)
    return figure


def _dress(figure: go.Figure, series: Series) -> None:
    figure.update_layout(
        height=330, margin={"l": 8, "r": 8, "t": 34, "b": 4}, bargap=0.18, barmode="group",
        hovermode="x unified", dragmode=False, showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.14, "yanchor": "top"},
    )  # fmt: skip
    figure.update_xaxes(showgrid=False, tickformatstops=_TICKS, hoverformat=_hover_format(series.bucket))
    if series.points:
        first, last = _on_axis(series.points[0].at), _on_axis(series.points[-1].at)
        half = series.bucket / 2
        figure.update_xaxes(range=[first - half, last + half])
    for row, most in ((1, _most(series, "messages")), (2, max(_most(series, "errors"), _most(series, "failures")))):
        # Whole numbers only, and an empty panel that does not pretend to a scale.
        figure.update_yaxes(
            row=row, col=1, rangemode="tozero", gridcolor=_GRID, zeroline=False, tickformat="~s", nticks=4,
            range=[0, most * 1.12 if most else 1], dtick=1 if most <= 3 else None,  # noqa: PLR2004
            showticklabels=most > 0, automargin=True,
        )  # fmt: skip


def _on_axis(moment: datetime) -> datetime:
    """Plotly knows no zones: it draws what a clock shows."""
    return clock.local(moment).replace(tzinfo=None)


def alt(series: Series) -> str:
    """The chart in a sentence, for those who cannot see it."""
    return f"{series.messages:,} messages, {series.errors:,} errors and {series.failures:,} failures over time."


def chosen(selection: Any) -> tuple[datetime, datetime] | None:
    """The bucket that was clicked."""
    points = selection["selection"]["points"] if selection else []
    if not points or not points[0].get("customdata"):
        return None
    since, until = (datetime.fromisoformat(text).astimezone(UTC) for text in points[0]["customdata"][:2])
    return since, until


def _most(series: Series, what: str) -> int:
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
