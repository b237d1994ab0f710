"""What a person does to a subscription: pause, resume, take it off the bus. Each once for each click."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Callable

import streamlit as st

from buslog.console import access, acting, markup, words
from buslog.errors import BuslogError
from buslog.insights import Subscriber
from buslog.message import Mode


def buttons(subscriber: Subscriber) -> None:
    """Those that its state does not allow are there and say why not."""
    with st.container(horizontal=True, gap="small"):
        if subscriber.paused_at:
            token = f"resume-{subscriber.subscription}-{subscriber.paused_at}"
            waiting = words.plural(subscriber.backlog, "delivery")
            st.button("Resume", key="holding.resume", icon=":material/play_arrow:", type="primary",
                      disabled=bool(access.may("resume")),
                      help=access.may("resume") or words.RESUME_MEANS.format(waiting=waiting),
                      on_click=_resume, args=(subscriber.subscription, token))  # fmt: skip
        elif st.button(
            "Pause", key="holding.pause", icon=":material/pause:", disabled=bool(access.may("pause")),
            help=access.may("pause") or words.PAUSE_MEANS,
        ):  # fmt: skip
            _pause(subscriber, secrets.token_hex(8))
        why_not = access.may("unregister")
        if not why_not and (subscriber.live_workers or not subscriber.is_active):
            why_not = words.UNREGISTER_NOT[bool(subscriber.live_workers)]
        if st.button(
            words.TAKE_OFF, key="holding.unregister", icon=":material/link_off:", disabled=bool(why_not),
            help=why_not or words.UNREGISTER_MEANS,
        ):  # fmt: skip
            _unregister(subscriber, secrets.token_hex(8))


@st.dialog("Pause", width="medium", icon=":material/pause:")
def _pause(subscriber: Subscriber, token: str) -> None:
    name = subscriber.subscription
    markup.title(name, quiet=words.PAUSE_MEANS)
    if subscriber.mode is Mode.SYNC:
        markup.quiet(words.PAUSE_HOLDS_EMITS)
    markup.facts([("Waiting now", words.plural(subscriber.backlog, "delivery"))])
    _reason(f"buslog pause {shlex.quote(name)}", token)
    _confirm("Pause", token, lambda reason: access.operations().pause(name, reason=reason), f"{name} is paused.")


@st.dialog(words.TAKE_OFF, width="medium", icon=":material/link_off:")
def _unregister(subscriber: Subscriber, token: str) -> None:
    name = subscriber.subscription
    markup.title(name, quiet=words.UNREGISTER_MEANS)
    markup.facts(
        [("Names", ", ".join(subscriber.names)), ("Waiting now", words.plural(subscriber.backlog, "delivery"))]
    )
    _reason(f"buslog unregister {shlex.quote(name)}", token)
    _confirm(
        "Take it off the bus", token, lambda reason: access.registrations().unregister(name, reason=reason),
        f"{name} is off the bus.",
    )  # fmt: skip


def _reason(command: str, token: str) -> None:
    """Asks for a reason; and shows the line that does the same in a terminal."""
    reason = st.text_input("Reason", key=f"holding.{token}", max_chars=500, placeholder=words.KEPT_IN_AUDIT)
    markup.quiet(words.FROM_A_TERMINAL)
    st.code(f"{command} --reason {shlex.quote(reason.strip() or '…')}", language="bash")


def _confirm(verb: str, token: str, act: Callable[[str], bool], done: str) -> None:
    def carry_out() -> None:
        # Read here: what was typed last arrives together with the click.
        _carry_out(token, lambda: act(st.session_state[f"holding.{token}"].strip()), done)

    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(words.LEAVE_IT, key="holding.leave"):
            st.rerun()
        if st.button(verb, type="primary", key="holding.confirm", on_click=carry_out):
            st.rerun()


def _resume(subscription: str, token: str) -> None:
    _carry_out(token, lambda: access.operations().resume(subscription), words.RESUMED.format(subscription=subscription))


def _carry_out(token: str, act: Callable[[], bool], done: str) -> None:
    """Once for each token, however often it is clicked."""
    if acting.is_done(token):
        return
    acting.mark_done(token)
    try:
        acting.remember(markup.literal(done) if act() else words.WAS_SO_ALREADY)
    except BuslogError as error:
        acting.remember(error)
