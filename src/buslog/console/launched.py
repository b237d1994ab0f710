"""Commands as cards, and what became of their runs: the latest, and those that were started together."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pandas as pd
import streamlit as st

from buslog.console import access, clock, frame, markup, problems, words
from buslog.filter import Filter
from buslog.insights import Command, CommandRun
from buslog.message import ENDED_STATES, OPEN_STATES, State

WATCH_EVERY = 1.0  # seconds, while a run is open


def cards(commands: list[Command], choose: Callable[[str | None], None]) -> None:
    with st.grid(3, gap="small", min_column_width=300):
        for command in commands:
            with st.container(border=True, height="stretch"):
                markup.title(command.name, quiet=command.description)
                badges(command)
                _last(command)
                st.button("Open", key=f"open.{command.name}", on_click=choose, args=(command.name,))


def badges(command: Command) -> None:
    with st.container(horizontal=True, gap="small"):
        if command.is_hosted:
            st.badge("live", color="green", icon=":material/check:", help=words.LIVE_MEANS)
        else:
            st.badge(words.NOT_LIVE, color="orange", icon=":material/warning:", help=words.COMMAND_NOT_HOSTED)
        if command.role:
            st.badge(f"needs {markup.literal(command.role)}", color="violet", icon=":material/shield_person:",
                     help=words.ROLE_MEANS)  # fmt: skip


def _last(command: Command) -> None:
    last = command.last
    if last is None:
        markup.quiet(words.NEVER_RUN)
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(words.label(last.state), color=words.STATES[last.state].color)
        by = words.SOURCES.get(last.by, last.by)
        markup.quiet(f"{clock.ago(last.at)} · by {by}")
    markup.quiet(words.of_the_last(last.failed, last.count))


def runs(command: Command) -> None:
    """What was started here, and the latest runs; looked at again every second as long as one of them is open."""
    started = _started()
    is_watching = _is_open(command, started)

    @st.fragment(run_every=WATCH_EVERY if is_watching else None)
    def watched() -> None:
        with problems.shown():
            if started is not None:
                _batch(command, started)
            _latest(command, started)
            if is_watching != _is_open(command, started):
                st.rerun()

    watched()


def _started() -> UUID | None:
    try:
        return UUID(st.query_params.get("run", ""))
    except ValueError:
        return None


def _is_open(command: Command, started: UUID | None) -> bool:
    insights = access.insights()
    of_batch = set(insights.batch_states(command.name, started)) if started else set()
    return bool((of_batch | {run.state for run in insights.command_runs(command.name)}) & set(OPEN_STATES))


def _latest(command: Command, started: UUID | None) -> None:
    found = [run for run in access.insights().command_runs(command.name) if run.message_id != started]
    if found or started is None:
        st.subheader(words.LATEST_RUNS)
    if not found and started is None:
        markup.quiet(words.NEVER_RUN)
    for run in found:
        show_run(run, is_mine=False)


def _batch(command: Command, started: UUID) -> None:
    states = access.insights().batch_states(command.name, started)
    count = sum(states.values())
    if not count:
        return
    if count == 1:
        st.subheader(words.THIS_RUN)
        (run,) = access.insights().batch_runs(command.name, started)
        show_run(run, is_mine=True)
        return
    st.subheader(f"These {count:,} runs")
    with st.container(border=True):
        ended = sum(states.get(state, 0) for state in ENDED_STATES)
        st.progress(ended / count, text=f"{ended:,} of {count:,} ended")
        with st.container(horizontal=True, gap="small"):
            for state, number in sorted(states.items()):
                st.badge(f"{words.label(state)} {number:,}", color=words.STATES[state].color,
                         help=words.STATES[state].meaning)  # fmt: skip
        found = [run for run in access.insights().batch_runs(command.name, started) if run.state is not State.SUCCEEDED]
        if found:
            rows = [(run.key or "", words.label(run.state), f"{run.error_type or ''}: {run.error or ''}".strip(": "))
                    for run in found]  # fmt: skip
            st.dataframe(pd.DataFrame(rows, columns=["Key", "State", "Last error"]), hide_index=True, height=240,
                         column_config={"Key": st.column_config.Column(width="small"),
                                        "State": st.column_config.Column(width="small")},
                         key=f"batch.{started}", alt=words.RUNS_NOT_WELL)  # fmt: skip
        else:
            markup.quiet(words.BATCH_ALL_DONE)
        in_log = {"correlation": str(started), "range": "all"}
        with st.container(horizontal=True):
            st.page_link(frame.LOG, label=words.ALL_IN_LOG, icon=":material/list_alt:", query_params=in_log)
            if states.get(State.FAILED):
                st.page_link(frame.LOG, label=words.THE_FAILED, icon=":material/error:",
                             query_params={**in_log, **Filter(states=(State.FAILED,)).to_params()})  # fmt: skip


def show_run(run: CommandRun, *, is_mine: bool) -> None:
    look = words.STATES[run.state]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            by = run.actor or words.SOURCES.get(run.source, run.source)
            markup.title(run.key or "without a key", quiet=f"{clock.stamp(run.emitted_at)} {clock.zone()} · by {by}")
            st.badge(words.label(run.state), color=look.color, help=look.meaning)
        if run.error_type and run.state is not State.SUCCEEDED:
            markup.error(run.error_type, run.error or "")
        if run.result not in {None, "null"}:
            if is_mine:
                markup.quiet("Result")
                st.code(run.result or "", language="json", wrap_lines=True)
            else:
                with st.expander("Result"):
                    st.code(run.result or "", language="json", wrap_lines=True)
        st.page_link(
            frame.MESSAGE, label=words.OPEN_MESSAGE, icon=":material/mail:", query_params={"id": str(run.message_id)}
        )
