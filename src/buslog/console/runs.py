"""How stored runs look: as cards of a list, and one with its progress, canary and items."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from buslog.console import clock, filters, frame, markup, numbers, words
from buslog.filter import Filter, Range
from buslog.insights import ItemState, Run, RunSet, RunState, Verb
from buslog.message import State

SHOWN = 3  # names of a filter that are spelled out


def in_words(filter_: Filter) -> str:
    """A filter as a sentence's part: failed · shipmentDeparted · S-42 · from 2026-11-01 00:00:00 UTC."""
    params = filter_.to_params(default=Range.ALL)
    names = list(filter_.names)
    more = f" and {len(names) - SHOWN} more names" if len(names) > SHOWN else ""
    parts = [
        " or ".join(map(str, filter_.states)),
        " or ".join(names[:SHOWN]) + more,
        filter_.key or "",
        f"subscriber {words.short(filter_.subscription)}" if filter_.subscription else "",
        filter_.error_type or "",
    ]
    known = {"state", "name", "key", "subscription", "error", "from", "to", "range"}
    parts += [f"{name} {value}" for name, value in params.items() if name not in known]
    if filter_.range is not Range.ALL:
        parts.append(words.RANGE_PHRASES[filter_.range])
    if filter_.since:
        parts.append(f"from {clock.stamp(filter_.since)} {clock.zone()}")
    if filter_.until:
        parts.append(f"before {clock.stamp(filter_.until)} {clock.zone()}")
    return " · ".join(part for part in parts if part) or "everything"


def scope(run: Run) -> str:
    """What its set was, in words."""
    if run.failed_of is not None:
        return words.RUN_AGAIN_OF.format(run=run.failed_of)
    if run.rest_of is not None:
        return words.RUN_REST_OF.format(run=run.rest_of)
    told = in_words(run.filter)
    return words.RUN_PICKED.format(filter=told) if run.is_selected else told


def title(run: Run) -> str:
    return f"{words.RUN_VERBS[run.verb]} · {words.plural(run.deliveries, 'delivery')}"


def badge(run: Run) -> None:
    look = words.RUN_STATES[run.state]
    st.badge(f"{look.mark} {run.state}", color=look.color, help=look.meaning)


def card(run: Run) -> None:
    """One run in the list: who, when, what, of which filter, how far."""
    with st.container(border=True, gap="small", key=f"run-{run.id}"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.page_link(frame.REPLAYS, label=f"Run {run.id} · {title(run)}", query_params={"run": str(run.id)},
                         icon=words.VERB_ICONS[run.verb])  # fmt: skip
            badge(run)
        markup.quiet(" · ".join(filter(None, (
            f"{clock.stamp(run.started_at)} {clock.zone()}", run.actor, run.reason,
        ))))  # fmt: skip
        filter_link(run)
        progress(run)


def command_lines(run: Run) -> list[str]:
    """The lines that look at it, and do to it what can be done, in a terminal."""
    stop = f'buslog runs stop {run.id} --reason "…"' if run.can_stop else ""
    again = f"buslog runs again {run.id}" if run.failed_again else ""
    rest = f"buslog runs rest {run.id}" if run.state is RunState.STOPPED and run.waiting else ""
    return [line for line in (f"buslog runs show {run.id}", stop, again, rest) if line]


def filter_link(run: Run) -> None:
    """To the Log, as its filter finds it today."""
    st.page_link(
        frame.LOG, label=markup.literal(scope(run)), icon=":material/filter_alt:",
        query_params=filters.explicit(run.filter), help=words.OPEN_FILTER_IN_LOG,
    )  # fmt: skip


def progress(run: Run) -> None:
    if run.deliveries:
        told = [f"{run.settled:,} of {run.deliveries:,} settled"]
        told += [f"{run.failed_again:,} failed again"] if run.failed_again else []
        told += [f"{run.waiting:,} not sent"] if run.waiting and run.state is RunState.STOPPED else []
        told += [f"{run.skipped:,} left out"] if run.skipped else []
        st.progress(run.settled / run.deliveries, text=" · ".join(told))
    elif run.skipped:
        markup.quiet(words.NONE_SENT.format(count=f"{run.skipped:,}"))


def facts(run: Run) -> None:
    started = f"{clock.stamp(run.started_at)} {clock.zone()}" if run.started_at else ""
    pace = [f"{run.canary} first" if run.canary else "", f"at most {run.rate:g} a second" if run.rate else ""]
    markup.facts(
        [
            ("Started", started),
            ("By", run.actor),
            ("Reason", run.reason or ""),
            ("Pace", ", ".join(filter(None, pace)) or "all at once"),
            ("Newest message looked at", f"{clock.stamp(run.cutoff)} {clock.zone()}" if run.cutoff else ""),
            ("Ended", f"{clock.stamp(run.ended_at)} {clock.zone()}" if run.ended_at else ""),
        ]
    )


def standing(run: Run, made_of: RunSet, *, are_workers: bool) -> str:
    """Where it stands, in a sentence or two."""
    nobody = f" {words.RUN_NO_WORKER}" if run.is_under_way and not are_workers else ""
    if run.state is RunState.PREVIEWED:
        return words.RUN_UNSTARTED
    if run.state is RunState.WAITING:
        left = run.begins_at - clock.now() if run.begins_at else timedelta()
        begins = words.RUN_BEGINS.format(left=f"{left.total_seconds():.0f} s") if left > timedelta() else ""
        return (begins or words.RUN_BEGINS_NOW) + nobody
    if run.state is RunState.CANARY:
        canary = made_of.canary
        told = words.RUN_CANARY.format(number=run.canary, rest=f"{max(run.deliveries - run.canary, 0):,}")
        waits = words.RUN_CANARY_WAITS.format(
            succeeded=canary.get(ItemState.SUCCEEDED, 0), open=canary.get(ItemState.SENT, 0)
        )
        return f"{told} {waits}{nobody}"
    if run.state is RunState.RUNNING:
        return words.RUN_RUNNING.format(waiting=f"{run.waiting:,}", sent=f"{run.sent:,}") + (
            nobody or f" {words.RUN_STAYS}"
        )
    if run.state is RunState.ENDED:
        return words.RUN_ENDED
    if not run.sent and not run.settled:
        return words.RUN_UNDONE
    still = f" {words.RUN_STILL.format(sent=f'{run.sent:,}')}" if run.sent else ""
    return words.RUN_STOPPED.format(why=f"{run.stopped_why}", waiting=f"{run.waiting:,}") + still


def figures(run: Run, made_of: RunSet) -> None:
    """Its items by state, and what became of the failure rate of its set."""
    with st.grid(4, gap="small", min_column_width=170):
        if run.verb is Verb.REPLAY:
            before = made_of.was.get(State.FAILED, 0)
            of_all = sum(made_of.was.values())
            _metric("Failed before", before, of_all, "Of this run's deliveries, how many had failed when it was made.")
            ran = run.succeeded + run.failed_again
            _metric("Fail now", run.failed_again, ran, "Of those that have run since, how many failed again.")
        _metric("Settled", run.settled, run.deliveries, "Whose outcome is known.")
        left_out = sum(made_of.skipped.values())
        _metric("Left out", left_out, None, "What had moved on, or is not to be sent.")
    for reason, number in made_of.skipped.items():
        markup.quiet(words.LEFT_OUT_WHY.format(count=f"{number:,}", why=skipped_why(reason)))
    if made_of.superseded:
        markup.quiet(words.SUPERSEDED_THEN.format(told=words.SUPERSEDED.format(number=f"{made_of.superseded:,}")))


def skipped_why(reason: str) -> str:
    """Why something is left out, as the end of a sentence."""
    lead, _, own = reason.partition(": ")
    return words.UNSAFE_WHY.format(why=own) if lead == "unsafe to replay" else words.SKIPPED_WHY.get(reason, reason)


def _metric(label: str, number: int, of: int | None, help_: str) -> None:
    share = f"{numbers.share(number / of)} of {of:,}" if of else None
    st.metric(label, f"{number:,}", share, delta_color="off", delta_arrow="off", border=True, height="stretch",
              help=help_)  # fmt: skip
