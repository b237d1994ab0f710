"""Who reacts to what, and how well. One of them: /subscribers?subscription=…."""

from dataclasses import replace

import streamlit as st

from buslog.console import (
    access,
    acting,
    charts,
    clock,
    filters,
    frame,
    holding,
    lists,
    markup,
    numbers,
    problems,
    subscriptions,
    words,
)
from buslog.console.filters import FilterBar
from buslog.console.numbers import Number
from buslog.errors import NotFound, did_you_mean
from buslog.insights import Subscriber
from buslog.insights.overview import open_of
from buslog.message import ENDED_STATES, State

SHOWN = 10  # deliveries, and groups of failures

bar = FilterBar("subscribers", only=("subscription", "range"))
acting.say()
with frame.header("Subscribers"):
    frame.refresh()
filter_ = bar.show()
insights = access.insights()
found = insights.subscribers(filter_)


# ── all of them ─────────────────────────────────────────────────────────────────


def all_of_them() -> None:
    if not found:
        with st.container(border=True):
            markup.title(words.NO_SUBSCRIBERS)
            st.code(words.NO_SUBSCRIBERS_HOW, language="python")
        return
    worst_first = sorted(found, key=lambda one: (-one.trouble, -one.failed, -one.backlog, one.subscription))
    lists.subscriber_list(worst_first, filter_)
    markup.quiet(words.SUBSCRIBERS_NOTE.format(when=words.RANGE_PHRASES[filter_.range]))


# ── one of them ─────────────────────────────────────────────────────────────────


def the_one(subscription: str) -> None:
    if not found:
        raise NotFound(
            field="subscription", rule="exists", was=subscription,
            mend=did_you_mean(subscription, insights.subscription_names()),
        )  # fmt: skip
    (one,) = found
    st.button(words.ALL_SUBSCRIBERS, icon=":material/arrow_back:", on_click=bar.change,
              args=(replace(filter_, subscription=None),))  # fmt: skip
    hosting = [worker.worker for worker in insights.live_workers() if subscription in worker.hosts]
    subscriptions.head(one, hosting)
    wrong = subscriptions.what_is_wrong(one)
    if wrong:
        with st.container(border=True, key="subscribers.wrong"):
            for sentence in wrong:
                with st.container(horizontal=True, gap="xsmall"):
                    st.markdown(":orange[:material/warning:]", width="content")
                    st.text(sentence)
    holding.buttons(one)
    with st.expander("Policy", icon=":material/rule:", expanded=True):
        markup.facts(subscriptions.policy(one))
    numbers.cards(figures_of(one), key="subscribers.card", columns=5)
    for part in (over_time, failures, latest):
        with problems.shown():
            part()


def figures_of(one: Subscriber) -> list[Number]:
    ended = one.succeeded + one.failed + one.cancelled
    ran = replace(filter_, states=(State.SUCCEEDED, State.FAILED))
    p50, p95, p99 = [clock.lasted(took) if took else "–" for took in (one.p50, one.p95, one.p99)]
    return [
        Number("ended", "Ended", f"{ended:,}", "In the Log", frame.LOG, replace(filter_, states=ENDED_STATES),
               numbers.rate(one) if one.per_second else None, "Deliveries of this time that have ended."),
        Number("failed", "Failures", f"{one.failed:,}", "In Failures", frame.FAILURES, filter_,
               help="Deliveries that ended failed and wait for a person."),
        Number("rate", "Failure rate", numbers.share(one.failure_rate), "What ended", frame.LOG, ran,
               help="Failed ÷ (succeeded + failed). What a person cancelled counts as neither."),
        Number("duration", "Duration", p50, "What ended", frame.LOG, ran,
               f"95 % {p95} · 99 % {p99}" if one.p95 else None,
               "Of last attempts: half were quicker than the large number."),
        Number("waiting", "Unfinished now", f"{one.backlog:,}", "What waits or runs", frame.LOG, open_of(filter_),
               f"oldest {clock.ago(one.oldest)}" if one.oldest else None,
               f"Deliveries that have not ended, {words.OVERVIEW_IGNORES_TIME}."),
    ]  # fmt: skip


def over_time() -> None:
    series = insights.series(filter_)
    if not series.messages:
        markup.quiet(words.NO_DELIVERY_IN_TIME)
        return
    with st.container(border=True):
        charts.show(series, charts.activity(series), key=f"subscribers.chart.{hash(filter_)}", on_pick=go_to)
        markup.quiet(words.chart_note(series, clock.lasted(series.bucket)))


def go_to(picked: charts.Picked) -> None:
    behind = replace(filter_.between(picked.since, picked.until), raised=picked.what == "errors")
    page = frame.FAILURES if picked.what == "failures" else frame.LOG
    st.switch_page(page, query_params=filters.explicit(behind))


def failures() -> None:
    groups = insights.failure_groups(filter_).groups
    if not groups:
        return
    st.subheader(words.FAILURES_BY_CAUSE)
    lists.group_list(groups[:SHOWN], filter_)


def latest() -> None:
    st.subheader(words.LATEST_DELIVERIES)
    page = insights.page(filter_.between(None, None), size=SHOWN)
    if not page.rows:
        markup.quiet(words.NEVER_SENT)
        return
    lists.log_list(page.rows, key_field=insights.key_field())
    st.page_link(frame.LOG, label=words.ALL_OF_THEM, icon=":material/arrow_forward:",
                 query_params=filters.explicit(filter_.between(None, None)))  # fmt: skip


if filter_.subscription:
    the_one(filter_.subscription)
else:
    all_of_them()
