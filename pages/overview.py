"""How the bus is doing: throughput, errors and failures over time, what waits, who works."""

import time
from dataclasses import replace
from datetime import datetime

import streamlit as st

from buslog import visits
from buslog.console import (
    access,
    acting,
    charts,
    clock,
    duty,
    filters,
    frame,
    lists,
    markup,
    numbers,
    problems,
    shared,
    words,
)
from buslog.console.filters import FilterBar
from buslog.console.numbers import Number
from buslog.console.shared import Seen
from buslog.errors import BuslogError
from buslog.filter import Filter, Range
from buslog.insights import Insights, LiveWorker, Overview
from buslog.insights.overview import open_of
from buslog.message import State

LIVE = (Range.HOUR, Range.SIX_HOURS, Range.DAY)
EVERY = 10.0  # seconds between looks, where a look is cheap
NOTED_EVERY = 60.0  # seconds

bar = FilterBar("overview", only=("name", "subscription", "range"))
acting.say()
with frame.header("Overview"):
    can_be_live = st.query_params.get("range", Range.DAY) in LIVE
    is_live = st.toggle(
        words.OVERVIEW_LIVE, value=True, key="overview.live", persist_state="session", disabled=not can_be_live,
        help=words.OVERVIEW_LIVE_HELP if can_be_live else words.OVERVIEW_NOT_LIVE,
    )  # fmt: skip
    frame.refresh()
filter_ = bar.show()
insights = access.insights()
with problems.told_above():
    duty.bar(key="overview")


# ── since you last looked ───────────────────────────────────────────────────────


def last_visit() -> datetime | None:
    """Noted once a minute, and only where somebody clicks: a screen that refreshes by itself is not looked at."""
    noted: float = st.session_state.get("overview.noted", 0.0)
    if time.monotonic() - noted > NOTED_EVERY or "overview.before" not in st.session_state:
        try:
            st.session_state["overview.before"] = visits.look(access.dsn(), access.who().name)
        except BuslogError:
            return None  # the page says itself that the database is away
        st.session_state["overview.noted"] = time.monotonic()
    before: datetime | None = st.session_state["overview.before"]
    return before


def news() -> None:
    if before is None:
        return
    new = Filter(names=filter_.names, subscription=filter_.subscription, states=(State.FAILED,), ended_since=before)
    count, ago = shared.read(Insights.count, new).value, clock.ago(before)
    if not count:
        markup.quiet(words.OVERVIEW_NOTHING_NEW.format(ago=ago))
        return
    told = f"{count} new {'failure' if count.value == 1 else 'failures'}"
    st.page_link(
        frame.FAILURES, label=words.OVERVIEW_NEW.format(ago=ago, new=told), icon=":material/new_releases:",
        query_params=filters.explicit(replace(new, states=())),
    )  # fmt: skip


# ── numbers ─────────────────────────────────────────────────────────────────────


def of_time(seen: Overview) -> list[Number]:
    series = seen.series
    ran = replace(filter_, states=(State.SUCCEEDED, State.FAILED))
    return [
        Number("messages", "Messages", f"{series.messages:,}", "In the Log", frame.LOG, filter_,
               help="Emitted in this time.", over_time=[point.messages for point in series.points],
               color=charts.MESSAGES),
        Number("errors", "Errors", f"{series.errors:,}", "What raised", frame.LOG, replace(filter_, raised=True),
               help="Attempts that raised, of messages of this time. The list shows their deliveries, also those that "
               "have succeeded since.", over_time=[point.errors for point in series.points], color=charts.ERRORS),
        Number("failures", "Failures", f"{series.failures:,}", "In Failures", frame.FAILURES, filter_,
               help="Deliveries that ended failed and wait for a person.",
               over_time=[point.failures for point in series.points], color=charts.FAILURES),
        Number("rate", "Failure rate", numbers.share(seen.failure_rate), "What ended", frame.LOG, ran,
               f"{seen.failed:,} of {seen.failed + seen.succeeded:,}" if seen.failed + seen.succeeded else None,
               help="Failed ÷ (succeeded + failed). What a person cancelled counts as neither."),
    ]  # fmt: skip


def of_now(seen: Overview, alive: list[LiveWorker]) -> list[Number]:
    running = replace(open_of(filter_), names=tuple(seen.commands), states=(State.RUNNING,))
    took = {"range": str(filter_.range), **({"subscription": filter_.subscription} if filter_.subscription else {})}
    within = f"95 % within {clock.lasted(seen.p95)}" if seen.p95 else None
    busy = sum(worker.running for worker in alive)
    oldest = f"oldest {clock.ago(seen.backlog.oldest)}" if seen.backlog.oldest else None
    first = seen.backlog.oldest_message
    commands = sum(seen.commands.values())
    return [
        Number("unfinished", "Unfinished now", f"{seen.backlog.total:,}", "What waits or runs", frame.LOG,
               open_of(filter_), oldest, f"Deliveries that have not ended, {words.OVERVIEW_IGNORES_TIME}.",
               also=("The oldest", frame.MESSAGE, {"id": str(first)}) if first else None),
        Number("duration", "Duration", clock.lasted(seen.p50) if seen.p50 else "–", "By subscriber", frame.SUBSCRIBERS,
               {**took}, within, f"Half of the last attempts were quicker; {words.OVERVIEW_IGNORES_NAMES}."),
        Number("commands", "Commands running", f"{commands:,}", "Which" if commands else "Run one",
               frame.LOG if commands else frame.COMMANDS, running if commands else {},
               help=f"Commands being carried out, {words.OVERVIEW_IGNORES_TIME}."),
        Number("workers", "Live workers", f"{len(alive):,}", "What they run", frame.LOG,
               Filter(states=(State.RUNNING,)), f"{busy:,} running",
               f"Processes whose lease holds, {words.OVERVIEW_IGNORES_FILTER}."),
    ]  # fmt: skip


# ── the parts ───────────────────────────────────────────────────────────────────


def go_to(picked: charts.Picked) -> None:
    behind = filter_.between(picked.since, picked.until)
    if picked.what == "errors":
        behind = replace(behind, raised=True)
    page = frame.FAILURES if picked.what == "failures" else frame.LOG
    st.switch_page(page, query_params=filters.explicit(behind))


def chart(looked: Seen[Overview]) -> None:
    seen, series = looked.value, looked.value.series
    with st.container(border=True):
        key = f"overview.chart.{hash(filter_)}"
        charts.show(series, looked.once(charts.of_overview), key=key, on_pick=go_to)
        releases = words.CHART_RELEASES if seen.releases else ""
        as_of = f"As of {clock.time_of_day(looked.at)} {clock.zone()}."
        markup.quiet(f"{words.chart_note(series, clock.lasted(series.bucket))} {releases} {as_of}")


def activity(alive: list[LiveWorker]) -> None:
    looked = shared.read(Insights.overview, filter_)
    seen = looked.value
    numbers.cards([*of_time(seen), *of_now(seen, alive)], key="overview.card")
    markup.quiet(words.OVERVIEW_IGNORES)
    if seen.series.messages:
        chart(looked)
    else:
        nothing_in_this_time()


def failures() -> None:
    st.subheader("Failures")
    groups = shared.read(Insights.failure_groups, filter_).value.groups
    if not groups:
        phrase = words.RANGE_PHRASES[filter_.range]
        in_time = words.ALL_IS_WELL if filter_.range is Range.ALL else words.WELL_IN.format(phrase=phrase)
        markup.quiet(words.NO_MATCHING_FAILURE if filter_.is_narrow else in_time)
        return
    lists.group_list(groups[:5], filter_)
    st.page_link(frame.FAILURES, label=words.ALL_FAILURES_LINK, icon=":material/arrow_forward:",
                 query_params=filters.explicit(filter_))  # fmt: skip


def workers(alive: list[LiveWorker]) -> None:
    st.subheader("Workers")
    if alive:
        lists.worker_list(alive)
    else:
        markup.quiet(words.NO_WORKER)
        st.code(words.NO_WORKER_HOW, language="bash")


def nothing_in_this_time() -> None:
    outside = shared.read(Insights.outside, filter_).value
    title = words.OVERVIEW_NOTHING_LIKE_IT if filter_.is_narrow else words.OVERVIEW_NOTHING
    with st.container(border=True):
        told = words.outside(outside.older, outside.newer)
        markup.title(title, quiet=f"{told}." if told else words.EMPTY_BY_FILTER)
        if told:
            st.button(words.SHOW_OUTSIDE.format(told=told), on_click=bar.change, args=(filter_.over(Range.ALL),))
        else:
            st.button(words.CLEAR_FILTER, on_click=bar.change, args=(Filter(range=filter_.range),))


def parts() -> None:
    # The cheapest read comes first: a database that is down is said once, a slow read only where it stands.
    alive = shared.read(Insights.live_workers).value
    if not shared.read(Insights.names).value:
        st.subheader(words.NOTHING_YET)
        markup.quiet(words.NOTHING_YET_MORE)
        st.code(words.NOTHING_YET_HOW, language="sql")
        workers(alive)
        return
    for part in (news, lambda: activity(alive), failures):
        with problems.shown():
            part()
    workers(alive)


before = last_visit()


@st.fragment(run_every=EVERY if is_live and can_be_live else None)
def live() -> None:
    with problems.shown():
        parts()


live()
