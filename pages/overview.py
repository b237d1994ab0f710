"""How the bus is doing: throughput, errors and failures over time, what waits, who works."""

from dataclasses import replace
from datetime import datetime

import streamlit as st

from buslog.console import access, acting, charts, clock, duty, frame, markup, problems, tables, words
from buslog.console.filters import FilterBar
from buslog.filter import Filter, Range
from buslog.insights import LiveWorker, Series
from buslog.message import State

LIVE = (Range.HOUR, Range.SIX_HOURS, Range.DAY)
EVERY = 10.0  # seconds between looks, where a look is cheap

bar = FilterBar("overview", only_range=True)
acting.say()
with frame.header("Overview"):
    filter_ = bar.show()
insights = access.insights()
with problems.shown():
    markup.quiet(duty.line(insights.shifts(places=2)))


def numbers(series: Series) -> None:
    states = insights.by_state(filter_)
    backlog = insights.backlog()
    ended = sum(states.get(state, 0) for state in (State.SUCCEEDED, State.FAILED))
    rate = f"{series.failures / ended:.1%} of what ended" if ended else None
    waiting = f"oldest since {clock.lasted(clock.now() - backlog.oldest)}" if backlog.oldest else None
    with st.grid(4, gap="small"):
        for label, value, more, help_ in (
            ("Messages", f"{series.messages:,}", None, "Emitted in this time."),
            ("Errors", f"{series.errors:,}", None, "Attempts that raised, of messages of this time."),
            ("Failures", f"{series.failures:,}", rate, "Deliveries that ended failed and wait for a person."),
            ("Unfinished now", f"{backlog.total:,}", waiting, "Deliveries that have not ended, of any time."),
        ):
            st.metric(
                label, value, more, delta_color="off", delta_arrow="off", border=True, height="stretch", help=help_
            )


def go_to(since: datetime, until: datetime) -> None:
    st.switch_page(frame.LOG, query_params=Filter(since=since, until=until).to_params())


def chart(series: Series) -> None:
    with st.container(border=True):
        charts.show(series, key=f"overview.chart.{filter_.range}", on_pick=go_to)
        markup.quiet(
            f"What was emitted {words.RANGE_PHRASES[filter_.range]}, by {clock.lasted(series.bucket)}; errors and "
            f"failures stand where their message was emitted. Click a bar to see its messages. "
            f"As of {clock.time_of_day(clock.now())} {clock.zone()}."
        )


def failures() -> None:
    st.subheader("Failures")
    groups = insights.failure_groups(filter_).groups
    if not groups:
        markup.quiet(words.ALL_IS_WELL)
        return
    shown = tables.group_table(groups[:5], key="overview.groups")
    if shown:
        st.switch_page(frame.FAILURES, query_params=replace(filter_, group=shown.fingerprint).to_params())
    st.page_link(
        frame.FAILURES, label="All failures", icon=":material/arrow_forward:", query_params=filter_.to_params()
    )


def workers(alive: list[LiveWorker]) -> None:
    st.subheader("Workers")
    if alive:
        tables.worker_table(alive)
    else:
        markup.quiet(words.NO_WORKER)
        st.code(words.NO_WORKER_HOW, language="bash")


def activity() -> None:
    series = insights.series(filter_)
    numbers(series)
    if series.messages:
        chart(series)
    else:
        nothing_in_this_time()


def parts() -> None:
    # The cheapest read comes first: a database that is down is said once, a slow read only where it stands.
    alive = insights.live_workers()
    if not insights.names():
        st.subheader(words.NOTHING_YET)
        markup.quiet(words.NOTHING_YET_MORE)
        st.code(words.NOTHING_YET_HOW, language="sql")
        workers(alive)
        return
    with problems.shown():
        activity()
    left, right = st.columns([5, 2], gap="medium")
    with left, problems.shown():
        failures()
    with right:
        workers(alive)


@st.fragment(run_every=EVERY if filter_.range in LIVE else None)
def live() -> None:
    with problems.shown():
        parts()


def nothing_in_this_time() -> None:
    outside = insights.outside(filter_)
    with st.container(border=True):
        markup.title("Nothing was emitted in this time.", quiet=f"{outside.older} older, {outside.newer} newer.")
        st.button("Show all", on_click=bar.change, args=(Filter(),))


live()
