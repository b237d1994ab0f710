"""The filter bar, and its mirror in the URL.

The URL is the only truth. A widget that changes writes the URL, in its callback; every run reads the URL and sets the
widgets from it. So links, Back and reload show what they showed before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import streamlit as st

from buslog.console import access, clock, filter_links, markup, problems, shelf, words
from buslog.errors import BuslogError, InvalidFilter, shorten
from buslog.filter import Filter, Range, joined
from buslog.message import State

PAGE_PARAMETERS = ("older", "newer")  # the page's own, beside the filter's
_BETWEEN = "between"
# Texts that stand in a widget of their own, by the filter's field.
_TEXTS = ("error_type", "error_text", "payload")


class FilterBar:
    """The filter of one page: `read` it from the URL, `show` the widgets, `change` it from a button."""

    def __init__(
        self, page: str, *, with_states: bool = True, with_group: bool = True, only: Collection[str] = (),
        own: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """only: the parameters that the page takes, of name, subscription and range; all of a Filter's when empty.
        own: parameters of the page's own, which stay when the filter changes.
        """
        self._page = page
        self._with_group = with_group
        self._own = own
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
            st.button(words.CLEAR_FILTER, on_click=self.change, args=(Filter(range=Range.DAY),), key=self._key("clear"))
            raise problems.Told
        st.session_state[self._key("last")] = dict(filter_links.params_of(replace(filter_, group=None)))
        return filter_

    def change(self, filter_: Filter) -> None:
        """For a button's `on_click`: this filter from now on, on its newest page."""
        kept = {name: values for name, values in current_params().items() if name in self._own}
        try:
            st.query_params.from_dict({**filter_links.params_of(filter_), **kept})
        except BuslogError as error:
            st.session_state[self._key("problem")] = error

    def turn(self, **cursor: str) -> None:
        """For a button's `on_click`: another page of the same filter."""
        kept = {name: values for name, values in current_params().items() if name not in PAGE_PARAMETERS}
        st.query_params.from_dict({**kept, **cursor})

    # ── URL → filter → widgets ──────────────────────────────────────────────────

    def _read(self) -> tuple[Filter, BuslogError | None]:
        given = {name: values for name, values in current_params().items() if name not in PAGE_PARAMETERS}
        params = {name: values for name, values in given.items() if name not in self._own}
        remembered: dict[str, Any] = st.session_state.get(self._key("last"), {})
        if self._are_of_another_page(params):
            params = remembered
        elif st.session_state.get("frame.arrived") and not given and remembered:
            # Back by the menu: as it was left.
            st.query_params.from_dict(remembered)
            params = remembered
        try:
            return filter_links.filter_of(params), None
        except BuslogError as error:
            return Filter(range=Range.DAY), error

    def _are_of_another_page(self, params: Mapping[str, Any]) -> bool:
        """Streamlit leaves a page in two steps: with the parameters of the next page at this page's address, then to
        the next page's. Back leads to the first of them. Not written anew: that would be a step that Back repeats.
        """
        if "key" in params and params == st.session_state.get(filter_links.LEFT_FOR):
            return True
        return "id" in params or (bool(self._only) and bool(params.keys() - self._only))

    def _fill_widgets(self, filter_: Filter) -> None:
        since, until = filter_.since, filter_.until
        values = {
            "names": list(filter_.names),
            "find": joined(filter_.find),
            "states": list(filter_.states),
            "subscription": filter_.subscription,
            "correlation": str(filter_.correlation or ""),
            **{name: getattr(filter_, name) or "" for name in _TEXTS},
            "range": _BETWEEN if since or until else filter_.range,
            "since": clock.local(since).replace(tzinfo=None) if since else None,
            "until": clock.local(until).replace(tzinfo=None) if until else None,
        }
        for name, value in values.items():
            st.session_state[self._key(name)] = value

    # ── widgets → filter → URL ──────────────────────────────────────────────────

    def _changed(self) -> None:
        before, _ = self._read()
        try:
            filter_ = self._of_widgets(before)
        except InvalidFilter as error:
            st.session_state[self._key("problem")] = error
            return
        self.change(filter_)

    def _of_widgets(self, before: Filter) -> Filter:
        """What the widgets say; where there is none, it stays as it was."""
        texts = {"find": joined(before.find), "correlation": str(before.correlation or "")}
        texts |= {name: getattr(before, name) or "" for name in _TEXTS}
        given = {name: str(st.session_state.get(self._key(name), text)).strip() for name, text in texts.items()}
        told = Filter.from_params({"find": given["find"], "correlation": given["correlation"]})
        more: dict[str, Any] = {**{name: given[name] or None for name in _TEXTS}, **self._times(before)}
        return replace(
            before,
            find=told.find,
            correlation=told.correlation,
            names=tuple(st.session_state.get(self._key("names"), before.names)),
            states=tuple(st.session_state.get(self._key("states"), before.states)),
            subscription=st.session_state.get(self._key("subscription"), before.subscription),
            **more,
        )

    def _times(self, before: Filter) -> dict[str, Any]:
        chosen = st.session_state.get(self._key("range"))
        if chosen is None:  # a segmented control can be emptied
            chosen = before.range
        if chosen != _BETWEEN:
            return {"range": Range(chosen), "since": None, "until": None}
        since, until = (self._moment(name) for name in ("since", "until"))
        if since is None and until is None:
            since, until = before.bounds(clock.now())
            since = (since or clock.now() - timedelta(days=1)).replace(second=0, microsecond=0)
        return {"range": Range.ALL, "since": since, "until": until}

    def _moment(self, name: str) -> datetime | None:
        value: datetime | None = st.session_state.get(self._key(name))
        return clock.from_clock(value) if value else None

    # ── the widgets ─────────────────────────────────────────────────────────────

    def _all_widgets(self, filter_: Filter) -> None:
        known = _known()
        widths = [4, 4, 3, 2, 2, 2] if self._with_states else [4, 4, 2, 2, 2]
        columns = iter(st.columns(widths, vertical_alignment="bottom", gap="small"))
        with next(columns):
            st.text_input(
                words.FIND.format(key_field=known.key_field), key=self._key("find"), on_change=self._changed,
                placeholder=words.FIND_PLACEHOLDER, help=words.FIND_HOW,
            )  # fmt: skip
        with next(columns):
            self._names(known, filter_)
        if self._with_states:
            with next(columns):
                st.multiselect(
                    "State", list(State), key=self._key("states"), on_change=self._changed, format_func=words.label,
                    placeholder=words.ANY_STATE,
                )  # fmt: skip
        with next(columns):
            st.selectbox(
                "Time", [*Range, _BETWEEN], key=self._key("range"), on_change=self._changed, format_func=_range_label
            )
        with next(columns), st.popover(words.MORE, icon=":material/tune:", help=words.MORE_HOW, width="stretch"):
            self._more(known, filter_)
        with next(columns):
            shelf.show(self._page, filter_)
        if filter_.since or filter_.until:
            self._between()

    def _more(self, known: _Known, filter_: Filter) -> None:
        self._subscriber(known, filter_, width=300)
        for name, label, help_ in (
            ("error_type", words.ERROR_TYPE, None),
            ("error_text", words.ERROR_TEXT, None),
            ("correlation", words.THREAD_ID, words.THREAD_HOW),
        ):
            st.text_input(label, key=self._key(name), on_change=self._changed, placeholder=words.ANY, help=help_)
        markup.quiet(words.ADVANCED)
        st.text_input(
            words.PAYLOAD, key=self._key("payload"), on_change=self._changed, placeholder=words.ANY,
            help=markup.literal(words.PAYLOAD_HOW),
        )  # fmt: skip

    def _names(self, known: _Known, filter_: Filter) -> None:
        failing = [name for name in known.names if name in known.failing]
        st.multiselect(
            words.NAME, list(dict.fromkeys([*failing, *known.names, *filter_.names])), key=self._key("names"),
            on_change=self._changed, placeholder=words.ANY_NAME,
            format_func=lambda name: words.FAILING.format(name=name) if name in known.failing else name,
        )  # fmt: skip

    def _subscriber(self, known: _Known, filter_: Filter, width: int | Literal["stretch"] = "stretch") -> None:
        given = [filter_.subscription] if filter_.subscription else []
        st.selectbox(
            words.SUBSCRIBER, list(dict.fromkeys([*known.subscriptions, *given])), key=self._key("subscription"),
            index=None, on_change=self._changed, placeholder=words.ANY_SUBSCRIBER, width=width,
        )  # fmt: skip

    def _some_widgets(self, filter_: Filter) -> None:
        known = _known()
        selects = [
            show for name, show in (("name", self._names), ("subscription", self._subscriber)) if name in self._only
        ]
        # In columns: on a phone they lie below each other, each as wide as the screen.
        *columns, last = st.columns([*(3 for _ in selects), 11 - 3 * len(selects)], gap="small")
        for column, show in zip(columns, selects, strict=True):
            with column:
                show(known, filter_)
        with last:
            st.segmented_control(
                words.TIME, list(Range), key=self._key("range"), on_change=self._changed, format_func=_range_label,
                label_visibility="visible" if len(self._only) > 1 else "collapsed",
            )  # fmt: skip

    def _between(self) -> None:
        with st.container(horizontal=True):
            for name, label in (("since", words.FROM), ("until", words.TO)):
                st.datetime_input(
                    f"{label} ({clock.zone()})", value=None, key=self._key(name), on_change=self._changed,
                    format="YYYY-MM-DD", step=timedelta(minutes=15), width=260,
                    min_value=datetime(1970, 1, 1), max_value=datetime(2199, 12, 31),  # noqa: DTZ001
                )  # fmt: skip

    def _chips(self, filter_: Filter) -> None:
        """What is filtered beside names, states and time, which stand in sight: each can be taken away."""
        chips = [("key", _known().key_field if filter_.key else "", filter_.key, replace(filter_, key=None))]
        for field, label in words.CHIPS.items():
            without = replace(filter_, **{field: getattr(Filter(), field)})
            chips.append((field, label, _chip(field, getattr(filter_, field)), without))
        given = [chip for chip in chips if chip[2] and (chip[0] != "group" or self._with_group)]
        kept = None if self._with_group else filter_.group  # the page is this group's: it is no filter of its list
        if not replace(filter_, group=None if kept else filter_.group).is_narrow:
            return
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            for field, label, value, without in given:
                st.button(
                    markup.literal(f"{label}: {value}"), icon=":material/close:", key=self._key(f"chip-{field}"),
                    on_click=self.change, args=(without,), help=words.TAKE_AWAY,
                )  # fmt: skip
            cleared = Filter(group=kept, range=filter_.range, since=filter_.since, until=filter_.until)
            st.button(
                words.CLEAR_ALL, icon=":material/filter_alt_off:", type="tertiary", key=self._key("clear-all"),
                on_click=self.change, args=(cleared,),
            )  # fmt: skip

    def _key(self, name: str) -> str:
        return f"{self._page}.{name}"


def current_params() -> dict[str, str | list[str]]:
    """The URL's parameters, repeated ones as lists."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


class _Known(NamedTuple):
    """What there is to choose from, and the key's label."""

    names: list[str]
    failing: set[str]
    subscriptions: list[str]
    key_field: str


def _known() -> _Known:
    """Nothing when the database is down: the page says so itself."""
    try:
        insights = access.insights()
        names = [known.name for known in insights.names()]
        return _Known(names, insights.names_failing(), insights.subscription_names(), insights.key_field())
    except BuslogError:
        return _Known([], set(), [], "key")


def _chip(field: str, value: Any) -> str:
    if field == "raised":
        return words.AT_LEAST_ONE if value else ""
    if field == "ended_since":
        return clock.stamp(value)
    if field == "find" and value and len(value) > 1:
        return words.MANY_VALUES.format(number=f"{len(value):,}")
    return shorten(joined(value) if field == "find" else str(value or ""), 60)


def explicit(filter_: Filter) -> dict[str, str | list[str]]:
    """The parameters of a link. A range is always among them: a page that is given none shows what it showed last."""
    params = filter_links.params_of(filter_)
    return (
        params
        if filter_links.VIEW in params or filter_.since or filter_.until
        else {**params, "range": str(filter_.range)}
    )


def _range_label(value: str) -> str:
    return words.BETWEEN if value == _BETWEEN else words.RANGES[Range(value)]
