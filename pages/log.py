"""Every message and delivery, newest first."""

from datetime import datetime

import streamlit as st

from buslog.console import access, acting, charts, clock, frame, many, markup, problems, routes, tables, words
from buslog.console.filters import PAGE_PARAMETERS, FilterBar
from buslog.filter import Filter, Range
from buslog.insights import Cursor, Page, Tally

bar = FilterBar("log")
acting.say()
actions = frame.header("Log")
filter_ = bar.show()
insights = access.insights()
cursors = {name: Cursor.parse(st.query_params[name]) for name in PAGE_PARAMETERS if name in st.query_params}


def nothing_found() -> None:
    """Three kinds of nothing: nothing yet, nothing of this time, nothing like this."""
    outside = insights.outside(filter_)
    with st.container(border=True):
        if outside.older or outside.newer:
            counted = ((outside.older, "older"), (outside.newer, "newer"))
            told = " and ".join(f"{count} {where}" for count, where in counted if count)
            phrase = "in that time" if filter_.since or filter_.until else words.RANGE_PHRASES[filter_.range]
            markup.title(f"Nothing {phrase}.", quiet=f"{told} outside it.")
            st.button(f"{told}: show all", type="primary", on_click=bar.change, args=(filter_.over(Range.ALL),))
        elif filter_.is_narrow:
            markup.title(words.NO_MATCH, quiet="The filter is what leaves it empty.")
            st.button("Show everything", type="primary", on_click=bar.change, args=(Filter(),))
        else:
            markup.title(words.NOTHING_YET, quiet=words.NOTHING_YET_MORE)
            st.code(words.NOTHING_YET_HOW, language="sql")


def pager(page: Page) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newest", icon=":material/first_page:", disabled=not cursors, on_click=bar.turn)
        st.button("Newer", icon=":material/chevron_left:", disabled=page.newer is None, on_click=bar.turn,
                  kwargs={"newer": str(page.newer)})  # fmt: skip
        st.button("Older", icon=":material/chevron_right:", disabled=page.older is None, on_click=bar.turn,
                  kwargs={"older": str(page.older)})  # fmt: skip


def over_time() -> None:
    """Drawn when it is asked for: it reads more than the list does."""
    folded = st.expander("Over time", icon=":material/bar_chart:", key="log.over_time", on_change="rerun")
    if folded.open:
        with folded, problems.shown():
            series = insights.series(filter_)
            charts.show(series, key=f"log.chart.{hash(filter_)}", on_pick=narrow)
            markup.quiet(
                f"By {clock.lasted(series.bucket)}, where the message was emitted. Click a bar to look closer."
            )


def narrow(since: datetime, until: datetime) -> None:
    bar.change(filter_.between(since, until))


def told(tally: Tally) -> str:
    """Rows, and what they are of; only the rows when there are too many to tell."""
    if tally.rows.is_capped:
        return f"{tally.rows} rows: a delivery each, or a message without one."
    parts = ((tally.messages, "message"), (tally.names, "name"), (tally.keys, "key"))
    return f"{words.plural(tally.rows.value, 'row')}: {', '.join(words.plural(*part) for part in parts)}."


page = insights.page(filter_, older_than=cursors.get("older"), newer_than=cursors.get("newer"))
if page.rows:
    tally = insights.tally(filter_)
    with actions:
        st.button("Refresh", icon=":material/refresh:")
        markup.download("Export CSV", routes.address(filter_), help_=f"All {tally.rows} rows of this filter")
    markup.quiet(told(tally))
    over_time()
    tables.log_table(page.rows, key=f"log.{page.rows[0].cursor}.{len(page.rows)}", key_field=insights.key_field())
    pager(page)
    many.buttons(filter_)
elif cursors:
    st.button("Nothing more here: back to the newest", on_click=bar.turn)
else:
    nothing_found()
