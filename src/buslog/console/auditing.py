"""The audit's filter bar with its mirror in the URL, and what an operation says of itself, in words.

As in `filters`, the URL is the only truth: a widget that changes writes it, every run reads it and sets the widgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import streamlit as st

from buslog.console import access, clock, problems, words
from buslog.console.filters import PAGE_PARAMETERS, current_params
from buslog.errors import BuslogError, InvalidFilter
from buslog.filter import Filter, Range
from buslog.insights import AuditFilter, AuditRow

OPERATION = "operation"  # the page's own parameter: one row, opened
_OF_OTHER_PAGES = {"id", "run"}
_BETWEEN = "between"
_LAST = "audit.last"
_USUAL = AuditFilter(of=Filter(range=Range.MONTH))


class AuditBar:
    """The filter of the audit: `show` it, `change` it from a button, `turn` its pages, `go_back` from a row of it."""

    def show(self) -> AuditFilter:
        """The widgets; gives back the filter. When the URL is nonsense: they stay, the page stops."""
        filter_, problem = self._read()
        problem = st.session_state.pop("audit.problem", problem)
        self._fill(filter_)
        self._widgets(filter_)
        if problem:
            problems.show(problem)
            st.button(words.CLEAR_FILTER, key="audit.clear", on_click=self.change, args=(_USUAL,))
            raise problems.Told
        st.session_state[_LAST] = filter_.to_params()
        return filter_

    def change(self, filter_: AuditFilter) -> None:
        """For a button's `on_click`: this filter from now on, on its newest page."""
        st.query_params.from_dict(filter_.to_params())

    def turn(self, **cursor: str) -> None:
        """For a button's `on_click`: another page of the same filter."""
        st.query_params.from_dict({**_without_pages(current_params()), **cursor})

    def go_back(self) -> None:
        """For a button's `on_click`: from one operation to the list as it was."""
        st.query_params.from_dict(st.session_state.get(_LAST, {}))

    # ── URL → filter → widgets → filter → URL ───────────────────────────────────

    def _read(self) -> tuple[AuditFilter, InvalidFilter | None]:
        params = _without_pages(current_params())
        remembered: dict[str, Any] = st.session_state.get(_LAST, {})
        if params.keys() & _OF_OTHER_PAGES:  # Back leads here with the next page's parameters: see FilterBar
            params = remembered
        elif st.session_state.get("frame.arrived") and not params and remembered:
            st.query_params.from_dict(remembered)
            params = remembered
        try:
            return AuditFilter.from_params(params), None
        except InvalidFilter as error:
            return _USUAL, error

    def _fill(self, filter_: AuditFilter) -> None:
        of = filter_.of
        values = {
            "actor": filter_.actor,
            "verbs": list(filter_.verbs),
            "key": str(filter_.message) if filter_.message else of.key or "",
            "subscription": of.subscription,
            "range": _BETWEEN if of.since or of.until else of.range,
            "denied": filter_.denied,
            "since": of.since.replace(tzinfo=None) if of.since else None,
            "until": of.until.replace(tzinfo=None) if of.until else None,
        }
        for name, value in values.items():
            st.session_state[f"audit.{name}"] = value

    def _changed(self) -> None:
        state = st.session_state
        typed = (state.get("audit.key") or "").strip()
        message = _id_of(typed)
        before, _ = self._read()
        try:
            of = replace(
                before.of, key=typed if typed and message is None else None,
                subscription=state.get("audit.subscription"), **self._times(before),
            )  # fmt: skip
        except InvalidFilter as error:
            state["audit.problem"] = error
            return
        verbs, denied = tuple(state.get("audit.verbs", ())), bool(state.get("audit.denied"))
        self.change(AuditFilter(state.get("audit.actor"), verbs, message, denied, of))

    def _times(self, before: AuditFilter) -> dict[str, Any]:
        chosen = st.session_state.get("audit.range") or before.of.range
        if chosen != _BETWEEN:
            return {"range": Range(chosen), "since": None, "until": None}
        since, until = (_moment(st.session_state.get(f"audit.{name}")) for name in ("since", "until"))
        if since is None and until is None:
            since = (before.of.bounds(clock.now())[0] or clock.now() - timedelta(days=1)).replace(
                second=0, microsecond=0
            )
        return {"range": Range.ALL, "since": since, "until": until}

    def _widgets(self, filter_: AuditFilter) -> None:
        insights = access.insights()
        try:
            (actors, verbs, subscriptions), key_field = insights.audit_choices(), insights.key_field()
        except BuslogError:  # the page says itself when the database is down
            actors, verbs, subscriptions, key_field = [], [], [], "Key"
        who, what, which, subscriber, when = st.columns([3, 4, 4, 3, 3], vertical_alignment="bottom")
        with who:
            st.selectbox("Who", _with(actors, filter_.actor), key="audit.actor", placeholder=words.ANYBODY, index=None,
                         on_change=self._changed)  # fmt: skip
        with what:
            st.multiselect("What", _with(verbs, *filter_.verbs), key="audit.verbs", placeholder=words.ANYTHING,
                           on_change=self._changed)  # fmt: skip
        with which:
            st.text_input(words.KEY_OR_ID.format(field=key_field), key="audit.key", placeholder="Any", max_chars=200,
                          on_change=self._changed)  # fmt: skip
        with subscriber:
            st.selectbox("Subscriber", _with(subscriptions, filter_.of.subscription), key="audit.subscription",
                         format_func=words.short, placeholder="Any", index=None, on_change=self._changed)  # fmt: skip
        with when:
            st.selectbox(
                "Time", [*Range, _BETWEEN], key="audit.range", format_func=_range_label, on_change=self._changed
            )
        with st.container(horizontal=True, vertical_alignment="center"):
            if filter_.of.since or filter_.of.until:
                for name, label in (("since", "From"), ("until", "To, not included")):
                    st.datetime_input(
                        f"{label} ({clock.zone()})", value=None, key=f"audit.{name}", format="YYYY-MM-DD", width=260,
                        step=timedelta(minutes=15), min_value=datetime(1970, 1, 1), max_value=datetime(2199, 12, 31),  # noqa: DTZ001
                        on_change=self._changed,
                    )  # fmt: skip
            st.toggle(words.DENIED_ONLY, key="audit.denied", help=words.DENIED_HELP, on_change=self._changed)


def said(row: AuditRow) -> str:
    """What an operation says of itself, on one line."""
    told = dict(row.outcome)
    if row.is_denied:
        needs = f", needs {told['needs']}" if "needs" in told else ""
        return f"role {told['denied']}{needs}"
    parts = [f"{name.replace('_', ' ')}: {_short(value)}" for name, value in told.items()
             if value is not None and name not in {"key", "name"}]  # fmt: skip
    return " · ".join(part for part in parts if part)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        if "rule" in value:  # an alert rule; all of it is in what is stored
            return str(value["rule"])
        return ", ".join(f"{name}={_short(inner)}" for name, inner in value.items()) or "everything"
    if isinstance(value, list):
        return ", ".join(_short(inner) for inner in value) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _without_pages(params: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
    return {name: values for name, values in params.items() if name not in {*PAGE_PARAMETERS, OPERATION}}


def _with(choices: list[str], *chosen: str | None) -> list[str]:
    return sorted({*choices, *(one for one in chosen if one)})


def _id_of(typed: str) -> UUID | None:
    try:
        return UUID(typed)
    except ValueError:
        return None


def _moment(value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value else None


def _range_label(value: str) -> str:
    return "Between …" if value == _BETWEEN else words.RANGES[Range(value)]
