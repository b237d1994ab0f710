"""Numbers in cards, each with a link to the list behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import streamlit as st

from buslog.console import filters, sparkline, words
from buslog.filter import Filter
from buslog.insights import Subscriber


@dataclass(frozen=True, slots=True)
class Number:
    """A number and its list: a page with a filter, or with other parameters. `more`: a second line."""

    key: str
    label: str
    value: str
    link: str
    page: str
    behind: Filter | dict[str, str | list[str]]
    more: str | None = None
    help: str | None = None
    over_time: Sequence[int] | None = None
    color: str = ""
    also: tuple[str, str, dict[str, str | list[str]]] | None = None  # another link: label, page, parameters

    @property
    def links(self) -> Iterator[tuple[str, str, dict[str, str | list[str]]]]:
        behind = self.behind
        yield self.link, self.page, filters.explicit(behind) if isinstance(behind, Filter) else behind
        if self.also:
            yield self.also


def cards(numbers: Sequence[Number], *, key: str, columns: int = 4) -> None:
    """In a grid that wraps where it is narrow."""
    with st.grid(columns, min_column_width=150, gap="small"):
        for number in numbers:
            with st.container(border=True, gap="xxsmall", height="stretch", key=f"{key}.{number.key}"):
                st.metric(number.label, number.value, number.more, delta_color="off", delta_arrow="off",
                          help=number.help)  # fmt: skip
                if number.over_time:
                    alt = words.OVER_TIME_OF.format(what=number.label)
                    sparkline.show(number.over_time, color=number.color, alt=alt)
                for label, page, params in number.links:
                    st.page_link(page, label=label, icon=":material/arrow_forward:", icon_position="right",
                                 query_params=params)  # fmt: skip


def share(part: float | None) -> str:
    """Such as 2.0 %; a dash where there is none."""
    return "–" if part is None else f"{part:.1%}".replace("%", " %")


def rate(subscriber: Subscriber) -> str:
    """How many deliveries ended in a second, minute, hour or day: the first in which it is one at least."""
    if subscriber.per_second is None:
        return f"{subscriber.succeeded + subscriber.failed + subscriber.cancelled:,}"
    if not subscriber.per_second:
        return "–"
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if subscriber.per_second * size >= 1:
            return f"{subscriber.per_second * size:,.1f}/{unit}"
    return f"{subscriber.per_second * 86_400:,.1f}/day"
