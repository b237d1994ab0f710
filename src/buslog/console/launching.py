"""The form of a command: for one run, for many keys, or for the rows of a file; looked at, then put on the bus once."""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pandas as pd
import streamlit as st

from buslog.config import settings
from buslog.console import access, acting, batch, clock, forms, inputs, markup, problems, words
from buslog.console.forms import Field, Input
from buslog.errors import BuslogError, InvalidImport
from buslog.insights import Command, CommandRun
from buslog.operations import Asked, schema_validator

JSON_FIELD = "payload"
TYPED_ABOVE = 100  # runs: so many are confirmed by typing how many
LOOKED_AT = 5  # rows of a preview


@dataclass
class Draft:
    """What a form holds. With `faults` (by path of its fields) or `rows` (of its keys) it cannot be run."""

    asked: list[Asked] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    rows: list[batch.RowFault] = field(default_factory=list)

    @property
    def is_fit(self) -> bool:
        return bool(self.asked) and not (self.faults or self.rows)


def form(command: Command) -> None:
    fields = forms.fields_of(command.schema)
    start, seed = _start(command, fields)
    ways = (words.RUN_ONE, words.RUN_KEYS, words.RUN_FILE)
    way = st.segmented_control(words.RUN_FOR, ways, default=words.RUN_ONE, required=True, key=f"{seed}.way",
                               label_visibility="collapsed")  # fmt: skip
    shown: Draft = st.session_state.get(f"{seed}.{way}.draft", Draft())
    inputs.fault(shown.faults.get(""))
    if way == words.RUN_FILE:
        count, read = _file(command, fields, seed)
    else:
        count, read = _fields(command, fields, start, seed, shown.faults, is_many=way == words.RUN_KEYS)
        _row_faults(shown.rows)
    reason = st.text_input("Reason · optional", key=f"{seed}.reason", max_chars=200,
                           placeholder=words.KEPT_WITH_OPERATION)  # fmt: skip
    if shown.faults or shown.rows:
        inputs.fault(words.FAULTS_ABOVE)
    # The token is the button's own: a click that arrives late finds another button, and an emit knows it.
    token: str = st.session_state.setdefault(f"{command.name}.token", secrets.token_hex(16))
    label = f"Run {markup.literal(command.name)}" + (f" {count:,} times" if count > 1 else "")
    why_not = access.may("run", command.role) or ("" if count else words.NOTHING_TO_RUN)
    if st.button(label, key=f"run.{token}", type="primary", icon=":material/play_arrow:", disabled=bool(why_not),
                 help=why_not or None):  # fmt: skip
        draft = read()
        st.session_state[f"{seed}.{way}.draft"] = draft
        if draft.is_fit:
            _launch(command, draft.asked, reason, token)
        else:
            st.rerun()


# ── what the form begins with ───────────────────────────────────────────────────


def _start(command: Command, fields: Sequence[Field] | None) -> tuple[dict[str, Any], str]:
    """What the fields hold at first, from the URL's `from` and `key`; and the name of this form's widgets."""
    source, key = st.query_params.get("from", ""), st.query_params.get("key", "")
    if not (source or key):
        return {}, command.name
    start: dict[str, Any] = {}
    with problems.shown():
        start = _of_message(source, fields) if source else {}
    if key:
        start = _with_key(start, key, _key_field(fields)) if _key_field(fields) else {**start, _OWN_KEY: key}
    return start, f"{command.name}:{source}:{key}"


def _of_message(source: str, fields: Sequence[Field] | None) -> dict[str, Any]:
    try:
        message = access.insights().message(UUID(source))
    except ValueError:
        message = None
    if message is None:
        markup.quiet(words.PREFILL_UNKNOWN)
        return {}
    try:
        payload = json.loads(message.payload)
    except ValueError:  # it is cut
        markup.quiet(words.PREFILL_CUT)
        return {}
    markup.quiet(words.PREFILLED.format(name=message.name, at=clock.stamp(message.emitted_at), zone=clock.zone()))
    own = {_OWN_KEY: message.key} if message.key and not _key_field(fields) else {}
    return {**payload, **own} if fields is not None else {JSON_FIELD: payload, **own}


_OWN_KEY = " key"  # no field of a payload is called so by anybody


def _key_field(fields: Sequence[Field] | None) -> Field | None:
    """The field that holds the key, if the command has it."""
    name = access.insights().key_field()
    takes = {Input.TEXT, Input.INTEGER}
    return next((one for one in forms.leaves(fields or ()) if one.name == name and one.input in takes), None)


def _with_key(values: Mapping[str, Any], key: str, key_field: Field | None) -> dict[str, Any]:
    """The same values with the key where it belongs."""
    assert key_field is not None
    *outer, last = key_field.path
    changed = dict(values)
    place = changed
    for name in outer:
        place[name] = dict(place.get(name) or {})
        place = place[name]
    place[last] = key
    return changed


# ── one, or many of the same ────────────────────────────────────────────────────


def _fields(
    command: Command, fields: Sequence[Field] | None, start: Mapping[str, Any], seed: str, faults: Mapping[str, str],
    *, is_many: bool,
) -> tuple[int, Callable[[], Draft]]:  # fmt: skip
    """How many runs are asked for, and what reads them."""
    key_field = _key_field(fields)
    keys: list[str] = []
    if is_many:
        keys = _pasted_keys(seed)
    typed: dict[str, Any] = {}
    text = ""
    asked_for = _without(fields, key_field) if is_many and fields is not None else fields
    if asked_for is None:
        whole = json.dumps(start.get(JSON_FIELD, {}), indent=2, ensure_ascii=False)
        text = st.text_area(words.PAYLOAD_AS_JSON, value=whole, height=160, key=f"{seed}.json")
        inputs.fault(faults.get(JSON_FIELD))
    else:
        typed = inputs.ask(asked_for, faults, start, key=seed)
    own_key = None
    if not is_many and key_field is None:
        own_key = st.text_input("Key · optional", value=start.get(_OWN_KEY, ""), key=f"{seed}.key", max_chars=200,
                                help=words.OWN_KEY_HELP) or None  # fmt: skip

    def payload(key: str | None) -> tuple[dict[str, Any], dict[str, str]]:
        if fields is None:
            return _read_json(text)
        return forms.payload_of(fields, _with_key(typed, key, key_field) if key_field and key else typed)

    def read() -> Draft:
        return _draft(command, payload, keys if is_many else [own_key], key_field)

    return len(keys) if is_many else 1, read


def _draft(
    command: Command, payload_of: Callable[[str | None], tuple[dict[str, Any], dict[str, str]]],
    keys: Sequence[str | None], key_field: Field | None,
) -> Draft:  # fmt: skip
    draft = Draft()
    validator = None if command.schema is None else schema_validator(command.schema)
    for row, key in enumerate(keys, start=1):
        payload, wrong = payload_of(key)
        if validator is not None:
            wrong = {**forms.faults_found(payload, validator), **wrong}
        at_key = wrong.pop(key_field.name, None) if key and key_field else None
        if at_key:
            draft.rows.append(batch.RowFault(row, key or "", at_key))
        draft.faults |= wrong
        draft.asked.append(Asked(payload, None if key_field else key))
        if draft.faults or len(draft.rows) >= batch.FAULTS_NAMED:
            break
    return draft


def _pasted_keys(seed: str) -> list[str]:
    label = access.insights().key_field()
    text = st.text_area(f"{markup.literal(label)}, many", key=f"{seed}.keys", height=120, placeholder=words.KEYS_HINT)
    keys, twice = batch.pasted(text)
    more = f", {twice:,} more stood there twice" if twice else ""
    markup.quiet(f"{words.plural(len(keys), 'key')}{more}." if keys else words.KEYS_HINT)
    return keys


def _without(fields: Sequence[Field], key_field: Field | None) -> tuple[Field, ...]:
    return tuple(one for one in fields if one is not key_field)


def _read_json(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        payload = forms.read_json(text)
    except forms.Unfit as error:
        return {}, {JSON_FIELD: str(error)}
    return (payload, {}) if isinstance(payload, dict) else ({}, {JSON_FIELD: words.FAULT_OBJECT})


# ── a file ──────────────────────────────────────────────────────────────────────


def _file(command: Command, fields: Sequence[Field] | None, seed: str) -> tuple[int, Callable[[], Draft]]:
    if fields is not None:
        markup.quiet(words.FILE_COLUMNS)
        st.code(",".join(one.name for one in forms.leaves(fields)), language=None, wrap_lines=True)
    given = st.file_uploader(words.CSV_FILE, type="csv", key=f"{seed}.file", help=words.FILE_HINT)
    markup.quiet(words.FILE_HINT)
    if given is None:
        return 0, Draft
    # Read once, not at every run of the page.
    held = st.session_state.get(f"{seed}.read")
    if held is None or held[0] != given.file_id:
        try:
            held = (given.file_id, batch.read_csv(given.getvalue(), fields, command.schema))
        except InvalidImport as error:
            held = (given.file_id, error)
        st.session_state[f"{seed}.read"] = held
    read: batch.Batch | InvalidImport = held[1]
    if isinstance(read, InvalidImport):
        problems.show(read)
        return 0, Draft
    if read.faults:
        inputs.fault(words.FILE_REFUSED)
        _row_faults(read.faults)
        return 0, Draft
    markup.quiet(words.FIRST_OF.format(rows=words.plural(len(read.asked), "row")))
    st.dataframe(pd.DataFrame(read.first, columns=pd.Index(read.columns)), hide_index=True, key=f"{seed}.first",
                 alt=words.FIRST_ROWS)  # fmt: skip
    asked = read.asked
    return len(asked), lambda: Draft(asked)


def _row_faults(faults: Sequence[batch.RowFault]) -> None:
    if faults:
        table = pd.DataFrame(
            [(fault.row, fault.column, fault.told) for fault in faults], columns=["Row", "What", "What is wrong"]
        )
        st.dataframe(table, hide_index=True, alt=words.WRONG_ROWS)
        if len(faults) >= batch.FAULTS_NAMED:
            markup.quiet(words.FAULTS_SHOWN.format(count=batch.FAULTS_NAMED))


# ── a second look, and off ──────────────────────────────────────────────────────


def _launch(command: Command, asked: list[Asked], reason: str, token: str) -> None:
    within = timedelta(minutes=settings().rerun_minutes)
    keys = list(dict.fromkeys(filter(None, (_key_of(one) for one in asked))))
    lately = access.insights().command_runs_for(command.name, keys, clock.now() - within)
    if len(asked) == 1 and not lately:
        _run(command, asked, reason, token)
        st.rerun()
    else:
        _confirm(command, asked, lately, reason, token)


def _key_of(asked: Asked) -> str | None:
    """The key that the message will have."""
    value: Any = asked.payload
    if asked.key is not None:
        return asked.key
    for name in access.insights().key_field().split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return None if value is None or isinstance(value, Mapping | list | bool) else str(value)


@st.dialog("Run", width="medium", icon=":material/play_arrow:")
def _confirm(command: Command, asked: list[Asked], lately: list[CommandRun], reason: str, token: str) -> None:
    count = len(asked)
    markup.title(f"{command.name}, {words.plural(count, 'run')}", quiet=command.description)
    if lately:
        _show_lately(command, lately)
    if not command.is_hosted:
        st.warning(words.COMMAND_NOT_HOSTED, icon=":material/warning:")
    if count > 1:
        rows = [(_key_of(one) or "", json.dumps(one.payload, ensure_ascii=False)) for one in asked[:LOOKED_AT]]
        st.dataframe(pd.DataFrame(rows, columns=["Key", "Payload"]), hide_index=True, alt=words.FIRST_RUNS)
        if count > LOOKED_AT:
            markup.quiet(f"And {count - LOOKED_AT:,} more.")
    markup.quiet(words.FROM_A_TERMINAL)
    st.code(command_line(command.name, asked), language="bash", wrap_lines=True)
    with st.form(f"launch.{token}", border=False):
        typed = ""
        if count > TYPED_ABOVE:
            typed = st.text_input(words.TYPE_COUNT.format(number=count), key=f"launch.count.{token}")
        label = "Run anyway" if lately else f"Run {words.plural(count, 'time')}"
        with st.container(horizontal=True, horizontal_alignment="right"):
            left = st.form_submit_button(words.LEAVE_IT, key=f"launch.leave.{token}")
            sent = st.form_submit_button(label, type="primary", key=f"launch.go.{token}")
    if left:
        st.rerun()
    if sent and count > TYPED_ABOVE and typed.strip().replace(",", "") != str(count):
        inputs.fault(words.TYPE_COUNT_FAULT.format(count=count))
    elif sent:
        _run(command, asked, reason, token)
        st.rerun()


def _show_lately(command: Command, lately: list[CommandRun]) -> None:
    with st.container(border=True):
        st.markdown(f":material/history: **{words.RAN_LATELY}**")
        markup.quiet(
            words.RAN_LATELY_MORE.format(
                runs=words.plural(len(lately), "run"),
                command=command.name,
                keys=words.plural(len({run.key for run in lately}), "key"),
                minutes=settings().rerun_minutes,
            )
        )
        for run in lately[:LOOKED_AT]:
            by = run.actor or words.SOURCES.get(run.source, run.source)
            with st.container(horizontal=True, vertical_alignment="center"):
                st.badge(words.label(run.state), color=words.STATES[run.state].color)
                st.text(f"{run.key} · {clock.ago(run.emitted_at)} · by {by}")


def command_line(name: str, asked: Sequence[Asked]) -> str:
    """The line that does the same in a terminal."""
    if len(asked) > 1:
        return f"buslog run {shlex.quote(name)} --csv FILE"
    (one,) = asked
    key = f" --key {shlex.quote(one.key)}" if one.key else ""
    return f"buslog run {shlex.quote(name)} {shlex.quote(json.dumps(one.payload, ensure_ascii=False))}{key}"


def _run(command: Command, asked: list[Asked], reason: str, token: str) -> None:
    try:
        started = access.operations().run_many(command.name, asked, reason=reason, token=token)
    except BuslogError as error:
        acting.remember(error)
        return
    st.session_state[f"{command.name}.token"] = secrets.token_hex(16)
    acting.remember(words.RUN_QUEUED.format(count=words.plural(len(asked), "run")))
    st.query_params.from_dict({"command": command.name, "run": str(started.batch)})
