"""What waits for a person: causes first; and one cause, with its deliveries. Its deep link is /failures?group=…."""

from dataclasses import replace
from functools import partial

import streamlit as st

from buslog.console import access, acting, clock, exporting, frame, groups, many, markup, tables, words
from buslog.console.filters import PAGE_PARAMETERS, FilterBar
from buslog.console.shortcuts import Shortcut
from buslog.errors import InvalidFilter, NotFound
from buslog.filter import Filter, Range
from buslog.insights import Cursor, FailureGroups, GroupStatus
from buslog.message import State

ALL, DELIVERIES = "all", "deliveries"
SHOWN = {**{str(status): str(status).capitalize() for status in GroupStatus}, ALL: words.ALL_CAUSES,
         DELIVERIES: words.DELIVERIES}  # fmt: skip

bar = FilterBar("failures", with_states=False, with_group=False, own=("show",))
acting.say()
actions = frame.header(words.FAILURES)
asked = bar.show()
filter_ = replace(asked, states=(State.FAILED,))
insights = access.insights()
cursors = {name: Cursor.parse(st.query_params[name]) for name in PAGE_PARAMETERS if name in st.query_params}
show = st.query_params.get("show", str(GroupStatus.OPEN))
if show not in SHOWN:
    raise InvalidFilter(field="show", rule=words.NO_SUCH_STATUS, was=show[:40], mend="Correct it, or leave it out.")


def switch(by_status: dict[GroupStatus, int]) -> None:
    """Causes by what has become of them, or all the deliveries."""
    numbers: dict[str, int] = {
        **{str(status): number for status, number in by_status.items()},
        ALL: sum(by_status.values()),
    }

    def label(choice: str) -> str:
        return SHOWN[choice] if choice == DELIVERIES else f"{SHOWN[choice]} {numbers.get(choice, 0):,}"

    st.session_state["failures.show"] = show
    st.segmented_control(
        words.CAUSES_SHOWN, list(SHOWN), key="failures.show", format_func=label, label_visibility="collapsed",
        on_change=lambda: turn_to(st.session_state.get("failures.show") or show),
    )  # fmt: skip


def turn_to(choice: str) -> None:
    st.query_params.from_dict({**asked.to_params(), **({} if choice == GroupStatus.OPEN else {"show": choice})})


def causes() -> None:
    status = GroupStatus(show) if show in set(GroupStatus) else None
    found = insights.failure_groups(filter_, status=status)
    if not found.by_status:
        nothing_failed()
        return
    with actions:
        frame.refresh()
        exporting.menu(filter_, words.ALL_FAILURES)
    switch(found.by_status)
    if show == DELIVERIES:
        deliveries()
    elif found.groups:
        the_list(found, sum(found.by_status.values()) if status is None else found.by_status[status])
    else:
        with st.container(border=True):
            markup.title(words.NONE_OF_STATUS[GroupStatus(show)], quiet=f"{words.elsewhere(found.by_status)}.")
            st.button(words.SHOW_ALL_CAUSES, type="primary", on_click=turn_to, args=(ALL,))


def the_list(found: FailureGroups, of: int) -> None:
    for group in found.groups:
        groups.card(group, on_open=partial(bar.change, replace(asked, group=group.fingerprint)))
    as_of = f"As of {clock.time_of_day(clock.now())} {clock.zone()}"
    markup.quiet(f"{words.only_largest(len(found.groups), of)} {as_of}" if of > len(found.groups) else as_of)
    # The list is of one status; what is acted on is all that the filter finds.
    others = words.elsewhere({status: count for status, count in found.by_status.items() if show not in {ALL, status}})
    many.buttons(filter_, label=words.ALL_MATCHING_OF_CAUSES.format(label=words.ALL_MATCHING, others=others)
                 if others else words.ALL_MATCHING)  # fmt: skip


def one_cause() -> None:
    st.button(words.ALL_CAUSES, icon=":material/arrow_back:", on_click=bar.change, args=(replace(asked, group=None),))
    group = insights.failure_group(filter_)
    if group is None:
        raise NotFound(field="group", rule="exists", was=asked.group or "", mend=words.NO_SUCH_GROUP)
    groups.head(group)
    groups.buttons(group)
    groups.known(group, insights.failure_sample(group.fingerprint))
    st.subheader(words.DELIVERIES)
    if group.count:
        with actions:
            frame.refresh()
            exporting.menu(filter_, f"{group.count} failures")
        deliveries()
    else:
        nothing_of_this_cause()
    with st.expander(words.FROM_A_TERMINAL, icon=":material/terminal:"):
        st.code(groups.command_lines(group), language="bash")


def deliveries() -> None:
    page = insights.page(filter_, older_than=cursors.get("older"), newer_than=cursors.get("newer"))
    if not page.rows:
        with st.container(border=True):
            markup.title(words.NO_MORE_HERE)
            st.button(words.BACK_TO_NEWEST, on_click=bar.turn)
        return
    key = f"failures.{page.rows[0].cursor}.{page.rows[-1].cursor}.{len(page.rows)}"
    above = st.container()
    chosen = tables.failed_table(page.rows, key=key, key_field=insights.key_field())
    with above:
        many.selected(chosen, filter_, key="failures")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newest", icon=":material/first_page:", disabled=not cursors, on_click=bar.turn,
                  shortcut=Shortcut.NEWEST)  # fmt: skip
        st.button("Newer", icon=":material/chevron_left:", disabled=page.newer is None, on_click=bar.turn,
                  kwargs={"newer": str(page.newer)}, shortcut=Shortcut.NEWER)  # fmt: skip
        st.button("Older", icon=":material/chevron_right:", disabled=page.older is None, on_click=bar.turn,
                  kwargs={"older": str(page.older)}, shortcut=Shortcut.OLDER)  # fmt: skip
        moment = f"{clock.time_of_day(clock.now())} {clock.zone()}"
        markup.quiet(words.FAILED_AS_OF.format(count=insights.count(filter_), moment=moment))
    many.buttons(filter_)


# ── three kinds of nothing ──────────────────────────────────────────────────────


def nothing_failed() -> None:
    outside = insights.outside(filter_)
    with st.container(border=True):
        if outside.older or outside.newer:
            phrase = words.IN_THAT_TIME if asked.since or asked.until else words.RANGE_PHRASES[asked.range]
            markup.title(
                words.NO_FAILURES_IN.format(phrase=phrase), quiet=f"{words.outside(outside.older, outside.newer)}."
            )
            st.button(words.SHOW_ALL_FAILURES, type="primary", on_click=bar.change, args=(asked.over(Range.ALL),))
        elif asked.is_narrow:
            markup.title(words.NO_MATCHING_FAILURE)
            st.button(words.SHOW_ALL_FAILURES, type="primary", on_click=bar.change, args=(Filter(),))
        elif not insights.names():
            markup.title(words.NOTHING_YET)
        else:
            st.subheader(f":green[:material/check_circle:] {words.ALL_IS_WELL}")


def nothing_of_this_cause() -> None:
    outside = insights.outside(filter_)
    with st.container(border=True):
        if outside.older or outside.newer:
            markup.title(words.NONE_IN_TIME, quiet=f"{words.outside(outside.older, outside.newer)}.")
            st.button(words.SHOW_ALL, type="primary", on_click=bar.change, args=(asked.over(Range.ALL),))
        elif replace(asked, group=None).is_narrow:
            markup.title(words.NO_MATCHING_FAILURE)
            st.button(words.SHOW_ALL, type="primary", on_click=bar.change, args=(Filter(group=asked.group),))
        else:
            markup.title(words.NONE_LEFT, quiet=words.NONE_LEFT_MORE)


if asked.group:
    one_cause()
else:
    causes()
