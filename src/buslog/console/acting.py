"""Buttons that do something to deliveries: who may press them when, once for each click, and what is said after."""

from __future__ import annotations

import shlex

import streamlit as st

from buslog.console import access, inputs, problems, words
from buslog.errors import BuslogError, RoleTooLow
from buslog.insights import DeliveryDetail
from buslog.message import ENDED_STATES, OPEN_STATES, DeliveryRef, State

_DONE = "acting.done"
_SAID = "acting.said"


def buttons(delivery: DeliveryDetail) -> None:
    """Replay, run now, cancel: those that the state does not allow are there and say why not."""
    state = delivery.state
    is_again = state is State.SUCCEEDED
    why_not = {
        "replay": "" if state in ENDED_STATES else f"It is {state}: it can be replayed when it has ended.",
        "run now": "" if state in {State.RETRYING, State.SCHEDULED} else f"It is {state}: it waits for no time.",
        "cancel": "" if state in {*OPEN_STATES, State.FAILED} else "It has ended.",
    }
    why_not = {verb: why or access.may(verb) for verb, why in why_not.items()}
    with st.container(horizontal=True, gap="small"):
        for verb, icon, help_ in (
            ("replay", ":material/replay:", "Send it again."),
            ("run now", ":material/bolt:", "Make it due at once; charges no extra attempt."),
            ("cancel", ":material/block:", "End it. An attempt under way is not stopped; its outcome is refused."),
        ):
            token = f"{verb}-{delivery.message_id}-{delivery.subscription}-{delivery.generation}-{state}"
            if verb == "replay" and not why_not[verb] and (is_again or delivery.unsafe_to_replay):
                _replay_with_care(delivery, token, icon)
                continue
            if verb == "cancel" and not why_not[verb] and state is State.FAILED:
                _ask_first("cancel", delivery, token, icon, told=[words.SINGLE_CANCEL], send=words.SINGLE_CANCEL_SEND)
                continue
            st.button(
                verb.capitalize(), key=token, icon=icon, disabled=bool(why_not[verb]), help=why_not[verb] or help_,
                type="primary" if verb == "replay" and state is State.FAILED else "secondary",
                on_click=_act, args=(verb, [delivery.ref], token),
            )  # fmt: skip


def _replay_with_care(delivery: DeliveryDetail, token: str, icon: str) -> None:
    """What has succeeded, or is unsafe to replay: why not lightly, then a tick, a reason and a second press."""
    told = [words.SINGLE_AGAIN] if delivery.state is State.SUCCEEDED else []
    if delivery.unsafe_to_replay:
        told.append(words.SINGLE_UNSAFE.format(why=delivery.unsafe_to_replay))
    _ask_first("replay", delivery, token, icon, told=told, send=words.SINGLE_SEND, sure=words.SINGLE_SURE)


def _ask_first(
    verb: str, delivery: DeliveryDetail, token: str, icon: str, *, told: list[str], send: str, sure: str = ""
) -> None:
    """A reason, where there is `sure` a tick as well, and a second press."""
    with st.popover(f"{verb.capitalize()}…", icon=icon, key=f"ask-{token}"):
        for text in told:
            st.text(text)
        with st.form(f"form-{token}", border=False):
            reason = st.text_input(
                words.RUN_REASON, max_chars=200, placeholder=words.RUN_REASON_KEPT, key=f"reason-{token}"
            )
            is_sure = st.checkbox(sure, key=f"sure-{token}") if sure else True
            sent = st.form_submit_button(send, type="primary", key=f"send-{token}")
        st.code(f'{command_line(verb, delivery.ref)} --reason "…"', language="bash", wrap_lines=True)
        if sent and not reason.strip():
            inputs.fault(f"{words.RUN_REASON} {words.RUN_REASON_MISSING}")
        elif sent and not is_sure:
            inputs.fault(f"“{sure}” {words.SURE_MISSING}")
        elif sent:
            _act(verb, [delivery.ref], token, reason)
            st.rerun()


def command_line(verb: str, ref: DeliveryRef) -> str:
    """The line that does the same in a terminal."""
    return f"buslog {verb.replace(' ', '-')} {ref.message_id} {shlex.quote(ref.subscription)}"


def say() -> None:
    """What the last click did, on the run that follows it."""
    said = st.session_state.pop(_SAID, None)
    if isinstance(said, BuslogError):
        problems.show(said)
    elif said:
        st.toast(said, icon=":material/check:")


def remember(said: str | BuslogError) -> None:
    """A toast before a rerun is lost: it is kept for the next run."""
    st.session_state[_SAID] = said
    if isinstance(said, RoleTooLow):
        access.look_again()


def is_done(token: str) -> bool:
    """Whether what has this token was done. Quick clicks arrive one by one, each as a run of its own."""
    return token in st.session_state.get(_DONE, ())


def mark_done(token: str) -> None:
    """Before the deed where it must not be tried again; after it where a refusal may be mended."""
    st.session_state.setdefault(_DONE, set()).add(token)


def _act(verb: str, refs: list[DeliveryRef], token: str, reason: str = "") -> None:
    if is_done(token):
        return
    mark_done(token)
    operations = access.operations()
    act = {"replay": operations.replay, "run now": operations.run_now, "cancel": operations.cancel}[verb]
    try:
        moved = act(refs, reason=reason)
    except BuslogError as error:
        remember(error)
        return
    one, many = words.DONE[verb]
    skipped = len(refs) - len(moved)
    more = f" {words.plural(skipped, 'delivery')} had moved on and stayed as it was." if skipped else ""
    remember(f"{words.plural(len(moved), 'delivery')} {one if len(moved) == 1 else many}.{more}")
