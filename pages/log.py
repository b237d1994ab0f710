"""Every message and delivery, newest first."""

import streamlit as st

from buslog.console import (
    access,
    acting,
    charts,
    clock,
    exporting,
    frame,
    lists,
    many,
    markup,
    problems,
    shared,
    words,
)
from buslog.console.filters import PAGE_PARAMETERS, FilterBar
from buslog.console.shortcuts import Shortcut
from buslog.errors import DatabaseUnavailable
from buslog.filter import Filter, Range
from buslog.insights import Cursor, Insights, Page

LOOK_EVERY = 10.0  # seconds between looks for new rows
TOP = "log.top"  # the filter that is looked at, and its newest row when the reader came

bar = FilterBar("log")
acting.say()
actions = frame.header("Log")
filter_ = bar.show()
insights = access.insights()
cursors = {name: Cursor.parse(st.query_params[name]) for name in PAGE_PARAMETERS if name in st.query_params}


def top() -> Cursor | None:
    """The newest row when the reader came: what is newer is offered, and not put under their eyes."""
    seen: tuple[str, Cursor] | None = st.session_state.get(TOP)
    if seen is None or seen[0] != filter_.to_text() or st.session_state.get("frame.arrived"):
        return None
    return seen[1]


def forget_top() -> None:
    st.session_state.pop(TOP, None)


def turn_to_newest() -> None:
    forget_top()
    bar.turn()


def nothing_found() -> None:
    """Three kinds of nothing: nothing yet, nothing of this time, nothing like this."""
    with st.container(border=True):
        phrase = words.IN_THAT_TIME if filter_.since or filter_.until else words.RANGE_PHRASES[filter_.range]
        all_time = filter_.over(Range.ALL)
        try:
            outside = insights.outside(filter_)
        except DatabaseUnavailable:
            markup.title(words.NOTHING_IN_TIME.format(phrase=phrase), quiet=words.NOT_LOOKED_OUTSIDE)
            st.button(words.SHOW_ALL_TIME, on_click=bar.change, args=(all_time,))
            return
        if outside.older or outside.newer:
            counted = ((outside.older, "older"), (outside.newer, "newer"))
            told = " and ".join(f"{count} {where}" for count, where in counted if count)
            markup.title(words.NOTHING_IN_TIME.format(phrase=phrase), quiet=words.OUTSIDE_IT.format(told=told))
            st.button(words.SHOW_OUTSIDE.format(told=told), type="primary", on_click=bar.change, args=(all_time,))
        elif filter_.is_narrow:
            markup.title(words.NO_MATCH, quiet=words.EMPTY_BY_FILTER)
            st.button(words.SHOW_EVERYTHING, type="primary", on_click=bar.change, args=(Filter(),))
        else:
            markup.title(words.NOTHING_YET, quiet=words.NOTHING_YET_MORE)
            st.code(words.NOTHING_YET_HOW, language="sql")


def pager(page: Page) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(words.NEWEST, icon=":material/first_page:", disabled=not cursors, on_click=turn_to_newest,
                  shortcut=Shortcut.NEWEST)  # fmt: skip
        st.button(words.NEWER, icon=":material/chevron_left:", disabled=page.newer is None, on_click=bar.turn,
                  kwargs={"newer": str(page.newer)}, shortcut=Shortcut.NEWER)  # fmt: skip
        st.button(words.OLDER, icon=":material/chevron_right:", disabled=page.older is None, on_click=bar.turn,
                  kwargs={"older": str(page.older)}, shortcut=Shortcut.OLDER)  # fmt: skip


@st.fragment(run_every=LOOK_EVERY if not filter_.until else None)
def offer_new(than: Cursor) -> None:
    with problems.shown():
        fresh = shared.read(Insights.newer, filter_, than).value
        if fresh and st.button(
            words.NEW_ROWS.format(count=fresh),
            icon=":material/arrow_upward:",
            key="log.new",
            shortcut=Shortcut.NEW_ROWS,
        ):
            turn_to_newest()
            st.rerun()


def over_time() -> None:
    """Drawn when it is asked for: it reads more than the list does."""
    folded = st.expander(words.OVER_TIME, icon=":material/bar_chart:", key="log.over_time", on_change="rerun")
    if folded.open:
        with folded, problems.shown():
            series = insights.series(filter_)
            charts.show(series, charts.activity(series), key=f"log.chart.{hash(filter_)}", on_pick=narrow)
            markup.quiet(words.chart_note(series, clock.lasted(series.bucket)))


def narrow(picked: charts.Picked) -> None:
    bar.change(filter_.between(picked.since, picked.until))


def told() -> str:
    """Rows, and what they are of; only the rows when there are too many to tell."""
    try:
        tally = insights.tally(filter_)
    except DatabaseUnavailable:  # the list is there: it is only slow to count
        return words.ROWS_NOT_COUNTED
    if tally.rows.is_capped:
        return words.ROWS_CAPPED.format(rows=tally.rows)
    parts = ((tally.messages, "message"), (tally.names, "name"), (tally.keys, "key"))
    return f"{words.plural(tally.rows.value, 'row')}: {', '.join(words.plural(*part) for part in parts)}."


newest = None if cursors else top()
page = insights.page(filter_, older_than=cursors.get("older"), newer_than=cursors.get("newer"), up_to=newest)
if page.rows:
    if not cursors and newest is None:
        newest = page.rows[0].cursor
        st.session_state[TOP] = (filter_.to_text(), newest)
    with actions:
        if newest:
            offer_new(newest)
        frame.refresh(on_click=forget_top)
        exporting.menu(filter_, words.ALL_ROWS)
    counted = st.empty()
    with counted:
        markup.quiet(words.ROWS_BEING_COUNTED)
    over_time()
    lists.log_list(page.rows, key_field=insights.key_field())
    pager(page)
    many.buttons(filter_)
    with counted:  # last: the list need not wait for it
        markup.quiet(told())
elif cursors:
    st.button(words.NOTHING_MORE, on_click=turn_to_newest)
else:
    nothing_found()
