"""What waits for a person: groups first, then the deliveries, to be replayed."""

from dataclasses import replace

import streamlit as st

from buslog.console import access, acting, clock, frame, markup, routes, tables, words
from buslog.console.filters import PAGE_PARAMETERS, FilterBar
from buslog.filter import Filter, Range
from buslog.insights import Cursor
from buslog.message import State

bar = FilterBar("failures", with_states=False)
acting.say()
actions = frame.header("Failures")
asked = bar.show()
filter_ = replace(asked, states=(State.FAILED,))
insights = access.insights()
cursors = {name: Cursor.parse(st.query_params[name]) for name in PAGE_PARAMETERS if name in st.query_params}


def show_group(group_filter: Filter) -> None:
    bar.change(group_filter)
    st.rerun()


def groups() -> None:
    found = insights.failure_groups(filter_)
    st.subheader("By cause")
    shown = tables.group_table(found, key=f"failures.groups.{len(found)}.{sum(group.count for group in found)}")
    if shown:
        show_group(
            replace(asked, names=(shown.name,), subscription=shown.subscription, error_type=shown.error_type or None)
        )


def deliveries() -> None:
    page = insights.page(filter_, older_than=cursors.get("older"), newer_than=cursors.get("newer"))
    if not page.rows:
        nothing_failed()
        return
    if not (asked.subscription or asked.error_type):
        groups()
    st.subheader("Deliveries")
    key = f"failures.{page.rows[0].cursor}.{page.rows[-1].cursor}.{len(page.rows)}"
    with actions:
        st.button("Refresh", icon=":material/refresh:")
        markup.download("Export CSV", routes.address(filter_), help_="All failures of this filter")
    above = st.container()
    chosen = tables.log_table(page.rows, key=key, key_field=insights.key_field(), are_failed=True)
    with above:
        acting.replay_selected(chosen, key="failures")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newest", icon=":material/first_page:", disabled=not cursors, on_click=bar.turn)
        st.button("Older", icon=":material/chevron_right:", disabled=page.older is None, on_click=bar.turn,
                  kwargs={"older": str(page.older)})  # fmt: skip
        markup.quiet(f"{insights.count(filter_)} failed · as of {clock.time_of_day(clock.now())} {clock.zone()}")


def nothing_failed() -> None:
    outside = insights.outside(filter_)
    with st.container(border=True):
        if cursors:
            markup.title("No more failures on this page.")
            st.button("Back to the newest", on_click=bar.turn)
        elif outside.older or outside.newer:
            phrase = "in that time" if asked.since or asked.until else words.RANGE_PHRASES[asked.range]
            markup.title(f"No failures {phrase}.", quiet=f"{outside.older} older, {outside.newer} newer.")
            st.button("Show all", type="primary", on_click=bar.change, args=(asked.over(Range.ALL),))
        elif asked.is_narrow:
            markup.title("No failure matches this filter.")
            st.button("Show all", type="primary", on_click=bar.change, args=(Filter(),))
        else:
            st.subheader(f":green[:material/check_circle:] {words.ALL_IS_WELL}")


deliveries()
