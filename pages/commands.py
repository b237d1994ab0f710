"""Commands: run one by hand, from a form made of its schema, and see its result."""

from typing import Any

import streamlit as st

from buslog.console import access, acting, clock, forms, frame, inputs, markup, problems, words
from buslog.errors import BuslogError, UnknownCommand, did_you_mean
from buslog.insights import Command, CommandRun
from buslog.message import OPEN_STATES, State

WATCH_EVERY = 1.0  # seconds, while a run is open
JSON_FIELD = "payload"

acting.say()
insights = access.insights()
commands = insights.commands()


def cards() -> None:
    frame.header("Commands")
    if not commands:
        with st.container(border=True):
            markup.title(words.NO_COMMANDS, quiet="Register one in the application:")
            st.code(words.NO_COMMANDS_HOW, language="python")
        return
    with st.grid(3, gap="small", min_column_width=300):
        for command in commands:
            with st.container(border=True, height="stretch"):
                markup.title(command.name, quiet=command.description)
                if not command.is_hosted:
                    st.badge("no live worker", color="orange", icon=":material/warning:")
                st.button("Open", key=f"open.{command.name}", on_click=choose, args=(command.name,))


def choose(name: str | None) -> None:
    st.query_params.from_dict({"command": name} if name else {})


def form(command: Command) -> None:
    fields = forms.fields_of(command.schema)
    faults: dict[str, str] = st.session_state.get(f"faults.{command.name}", {})
    with st.form(f"form.{command.name}"):
        inputs.fault(faults.get(""))
        if fields is None:
            typed: dict[str, Any] = {
                JSON_FIELD: st.text_area("Payload, as JSON", value="{}", height=160, key=f"{command.name}.json")
            }
            inputs.fault(faults.get(JSON_FIELD))
        else:
            typed = inputs.ask(fields, faults, key=command.name)
        reason = st.text_input("Reason · optional", key=f"{command.name}.reason", max_chars=200,
                               placeholder="Kept with the operation")  # fmt: skip
        why_not = access.may("run", command.role)
        sent = st.form_submit_button(
            f"Run {markup.literal(command.name)}", type="primary", icon=":material/play_arrow:",
            disabled=bool(why_not), help=why_not or None,
        )  # fmt: skip
    if sent:
        run(command, fields, typed, reason)


def run(command: Command, fields: tuple[forms.Field, ...] | None, typed: dict[str, Any], reason: str) -> None:
    payload, faults = read(fields, typed)
    faults = {**forms.faults(payload, command.schema), **faults}
    if not faults:
        try:
            message_id = access.operations().run_command(command.name, payload, reason=reason)
        except BuslogError as error:
            acting.remember(error)
        else:
            st.query_params.from_dict({"command": command.name, "run": str(message_id)})
    st.session_state[f"faults.{command.name}"] = faults
    st.rerun()


def read(fields: tuple[forms.Field, ...] | None, typed: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    if fields is not None:
        return forms.payload_of(fields, typed)
    try:
        payload = forms.read_json(str(typed[JSON_FIELD]))
    except forms.Unfit as error:
        return {}, {JSON_FIELD: str(error)}
    return (payload, {}) if isinstance(payload, dict) else ({}, {JSON_FIELD: "is a JSON object"})


def runs(command: Command) -> None:
    """The latest runs; looked at again every second as long as one of them is open."""
    is_watching = any(run_.state in OPEN_STATES for run_ in insights.command_runs(command.name))

    @st.fragment(run_every=WATCH_EVERY if is_watching else None)
    def watched() -> None:
        with problems.shown():
            found = insights.command_runs(command.name)
            st.subheader("Latest runs")
            if not found:
                markup.quiet("It was never run.")
            for run_ in found:
                show_run(run_, is_mine=st.query_params.get("run") == str(run_.message_id))
            if is_watching != any(run_.state in OPEN_STATES for run_ in found):
                st.rerun()

    watched()


def show_run(run_: CommandRun, *, is_mine: bool) -> None:
    look = words.STATES[run_.state]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            by = run_.actor or words.SOURCES.get(run_.source, run_.source)
            markup.title(run_.key or "without a key", quiet=f"{clock.stamp(run_.emitted_at)} {clock.zone()} · by {by}")
            st.badge(words.label(run_.state), color=look.color, help=look.meaning)
        if run_.error_type and run_.state is not State.SUCCEEDED:
            markup.error(run_.error_type, run_.error or "")
        if run_.result not in {None, "null"}:
            if is_mine:
                markup.quiet("Result")
                st.code(run_.result or "", language="json", wrap_lines=True)
            else:
                with st.expander("Result"):
                    st.code(run_.result or "", language="json", wrap_lines=True)
        st.page_link(frame.MESSAGE, label="Open", icon="", query_params={"id": str(run_.message_id)})


asked = st.query_params.get("command")
chosen = next((command for command in commands if command.name == asked), None)
if asked and chosen is None:
    st.button("All commands", icon=":material/arrow_back:", on_click=choose, args=(None,))
    raise UnknownCommand(
        field="command", rule="is registered", was=asked[:200],
        mend=did_you_mean(asked[:200], [command.name for command in commands]),
    )  # fmt: skip
if chosen is None:
    cards()
else:
    st.button("All commands", icon=":material/arrow_back:", type="tertiary", on_click=choose, args=(None,))
    markup.heading(chosen.name, before="Command")
    markup.quiet(chosen.description)
    if not chosen.is_hosted:
        st.warning("No live worker hosts this command: a run waits until one does.", icon=":material/warning:")
    left, right = st.columns([1, 1], gap="large")
    with left:
        st.subheader("Run it")
        form(chosen)
    with right:
        runs(chosen)
