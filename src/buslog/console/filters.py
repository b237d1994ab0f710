"""The filter bar, and its mirror in the URL.

The URL is the only truth. A widget that changes writes the URL, in its callback; every run reads the URL and sets the
widgets from it. So links, Back and reload show what they showed before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from buslog.console import access, clock, markup, problems, words
from buslog.errors import BuslogError, InvalidFilter
from buslog.filter import Filter, Range
from buslog.message import State

PAGE_PARAMETERS = ("older", "newer")  # the page's own, beside the filter's
_BETWEEN = "between"


class FilterBar:
    """The filter of one page: `read` it from the URL, `show` the widgets, `change` it from a button."""

    def __init__(self, page: str, *, with_states: bool = True, only: Collection[str] = ()) -> None:
        """only: the parameters that the page takes, of name, subscription and range; all of a Filter's when empty."""
        self._page = page
        self._with_states = with_states
        self._only = frozenset(only)

    def show(self) -> Filter:
        """The widgets; gives back the filter. When the URL is nonsense: they stay, the page stops."""
        filter_, problem = self._read()
        problem = st.session_state.pop(self._key("problem"), problem)
        self._fill_widgets(filter_)
        if self._only:
            self._some_widgets(filter_)
        else:
            self._all_widgets(filter_)
            self._chips(filter_)
        if problem:
            problems.show(problem)
            st.button("Clear the filter", on_click=self.change, args=(Filter(range=Range.DAY),), key=self._key("clear"))
            st.stop()
        st.session_state[self._key("last")] = dict(filter_.to_params())
        return filter_

    def change(self, filter_: Filter) -> None:
        """For a button's `on_click`: this filter from now on, on its newest page."""
        st.query_params.from_dict(filter_.to_params())

    def turn(self, **cursor: str) -> None:
        """For a button's `on_click`: another page of the same filter."""
        kept = {name: values for name, values in current_params().items() if name not in PAGE_PARAMETERS}
        st.query_params.from_dict({**kept, **cursor})

    # ── URL → filter → widgets ──────────────────────────────────────────────────

    def _read(self) -> tuple[Filter, InvalidFilter | None]:
        params = {name: values for name, values in current_params().items() if name not in PAGE_PARAMETERS}
        remembered: dict[str, Any] = st.session_state.get(self._key("last"), {})
        if self._are_of_another_page(params):
            params = remembered
        elif st.session_state.get("frame.arrived") and not params and remembered:
            # Back by the menu: as it was left.
            st.query_params.from_dict(remembered)
            params = remembered
        try:
            return Filter.from_params(params), None
        except InvalidFilter as error:
            return Filter(range=Range.DAY), error

    def _are_of_another_page(self, params: Mapping[str, Any]) -> bool:
        """Streamlit leaves a page in two steps: with the parameters of the next page at this page's address, then to
        the next page's. Back leads to the first of them. Not written anew: that would be a step that Back repeats.
        """
        return "id" in params or (bool(self._only) and bool(params.keys() - self._only))

    def _fill_widgets(self, filter_: Filter) -> None:
        since, until = filter_.since, filter_.until
        values = {
            "names": list(filter_.names),
            "key": filter_.key or "",
            "subscription": filter_.subscription,
            "states": list(filter_.states),
            "range": _BETWEEN if since or until else filter_.range,
            "since": since.replace(tzinfo=None) if since else None,
            "until": until.replace(tzinfo=None) if until else None,
        }
        for name, value in values.items():
            st.session_state[self._key(name)] = value

    # ── widgets → filter → URL ──────────────────────────────────────────────────

    def _changed(self) -> None:
        state = st.session_state
        before, _ = self._read()
        try:
            filter_ = Filter(
                names=tuple(state.get(self._key("names"), before.names)),
                key=(state.get(self._key("key"), before.key) or "").strip() or None,
                subscription=state.get(self._key("subscription"), before.subscription),
                states=tuple(state.get(self._key("states"), before.states)),
                error_type=before.error_type,
                raised=before.raised,
                ended_since=before.ended_since,
                **self._times(before),
            )
        except InvalidFilter as error:
            state[self._key("problem")] = error
            return
        self.change(filter_)

    def _times(self, before: Filter) -> dict[str, Any]:
        chosen = st.session_state.get(self._key("range"))
        if chosen is None:  # a segmented control can be emptied
            chosen = before.range
        if chosen != _BETWEEN:
            return {"range": Range(chosen)}
        since, until = (self._moment(name) for name in ("since", "until"))
        if since is None and until is None:
            since, until = before.bounds(clock.now())
            since = (since or clock.now() - timedelta(days=1)).replace(second=0, microsecond=0)
        return {"since": since, "until": until}

    def _moment(self, name: str) -> datetime | None:
        value: datetime | None = st.session_state.get(self._key(name))
        return value.replace(tzinfo=UTC) if value else None

    # ── the widgets ─────────────────────────────────────────────────────────────

    def _all_widgets(self, filter_: Filter) -> None:
        widths = [5, 3, 4, 3] if self._with_states else [5, 3, 3]
        columns = iter(st.columns(widths, vertical_alignment="bottom"))
        names, key_field = _known()
        with next(columns):
            options = sorted({*names, *filter_.names})
            st.multiselect("Name", options, key=self._key("names"), on_change=self._changed, placeholder="Any name")
        with next(columns):
            st.text_input(key_field, key=self._key("key"), on_change=self._changed, placeholder="Any", max_chars=200)
        if self._with_states:
            with next(columns):
                st.multiselect(
                    "State", list(State), key=self._key("states"), on_change=self._changed, format_func=words.label,
                    placeholder="Any state",
                )  # fmt: skip
        with next(columns):
            st.selectbox(
                "Time", [*Range, _BETWEEN], key=self._key("range"), on_change=self._changed, format_func=_range_label
            )
        if filter_.since or filter_.until:
            self._between()

    def _some_widgets(self, filter_: Filter) -> None:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            if "name" in self._only:
                options = sorted({*_known()[0], *filter_.names})
                st.multiselect(
                    "Name", options, key=self._key("names"), on_change=self._changed, placeholder="Any name", width=300
                )
            if "subscription" in self._only:
                subscriptions = sorted({*_known_subscriptions(), *filter(None, [filter_.subscription])})
                st.selectbox(
                    "Subscriber", subscriptions, index=None, key=self._key("subscription"), on_change=self._changed,
                    placeholder="Any subscriber", width=300,
                )  # fmt: skip
            st.segmented_control(
                "Time", list(Range), key=self._key("range"), on_change=self._changed, format_func=_range_label,
                label_visibility="visible" if len(self._only) > 1 else "collapsed",
            )  # fmt: skip

    def _between(self) -> None:
        with st.container(horizontal=True):
            for name, label in (("since", "From"), ("until", "To, not included")):
                st.datetime_input(
                    f"{label} ({clock.ZONE})", value=None, key=self._key(name), on_change=self._changed,
                    format="YYYY-MM-DD", step=timedelta(minutes=15), width=260,
                    min_value=datetime(1970, 1, 1), max_value=datetime(2199, 12, 31),  # noqa: DTZ001
                )  # fmt: skip

    def _chips(self, filter_: Filter) -> None:
        """What has no widget of its own and came by a link: each can be taken away."""
        chips = [
            ("subscriber", filter_.subscription, replace(filter_, subscription=None)),
            ("error", filter_.error_type, replace(filter_, error_type=None)),
            ("errors", "at least one" if filter_.raised else None, replace(filter_, raised=False)),
            ("ended since", clock.stamp(filter_.ended_since), replace(filter_, ended_since=None)),
        ]
        given = [(label, value, without) for label, value, without in chips if value]
        if not given:
            return
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            for label, value, without in given:
                st.button(
                    f"{label}: {markup.literal(value or '')}", icon=":material/close:", key=self._key(f"chip-{label}"),
                    on_click=self.change, args=(without,), help="Take this filter away",
                )  # fmt: skip

    def _key(self, name: str) -> str:
        return f"{self._page}.{name}"


def current_params() -> dict[str, str | list[str]]:
    """The URL's parameters, repeated ones as lists."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def _known() -> tuple[list[str], str]:
    """The names to choose from and the key's label; the page says itself when the database is down."""
    try:
        insights = access.insights()
        return [known.name for known in insights.names()], insights.key_field()
    except BuslogError:
        return [], "Key"


def _known_subscriptions() -> list[str]:
    try:
        return access.insights().subscription_names()
    except BuslogError:
        return []


def explicit(filter_: Filter) -> dict[str, str | list[str]]:
    """The parameters of a link. A range is always among them: a page that is given none shows what it showed last."""
    params = filter_.to_params()
    return params if filter_.since or filter_.until else {**params, "range": str(filter_.range)}


def _range_label(value: str) -> str:
    return "Between …" if value == _BETWEEN else words.RANGES[Range(value)]
