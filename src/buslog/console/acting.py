"""Buttons that do something to deliveries: who may press them when, once for each click, and what is said after."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import streamlit as st

from buslog.console import access, markup, problems, words
from buslog.errors import BuslogError, RoleTooLow
from buslog.insights import DeliveryDetail, LogRow
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
            ("replay", ":material/replay:", "Send it again; it had succeeded." if is_again else "Send it again."),
            ("run now", ":material/bolt:", "Make it due at once; charges no extra attempt."),
            ("cancel", ":material/block:", "End it. An attempt under way is not stopped; its outcome is refused."),
        ):
            token = f"{verb}-{delivery.message_id}-{delivery.subscription}-{delivery.generation}-{state}"
            st.button(
                verb.capitalize(), key=token, icon=icon, disabled=bool(why_not[verb]), help=why_not[verb] or help_,
                type="primary" if verb == "replay" and state is State.FAILED else "secondary",
                on_click=_act, args=(verb, [delivery.ref], token),
            )  # fmt: skip


def replay_selected(rows: Sequence[LogRow], *, key: str) -> None:
    """One is replayed at once; many after a look at how many and what."""
    refs = [row.delivery for row in rows if row.delivery]
    with st.container(horizontal=True, vertical_alignment="center"):
        label = f"Replay {words.plural(len(refs), 'delivery')}" if refs else "Replay selected"
        why_not = access.may("replay") or ("" if refs else "Select deliveries with the boxes at their left.")
        pressed = st.button(
            label, key=f"{key}.replay", icon=":material/replay:", type="primary", disabled=bool(why_not),
            help=why_not or None,
        )  # fmt: skip
        if refs:
            markup.quiet("Only these subscribers run again, not the others of the same messages.")
    if pressed:
        _confirm(
            refs, f"{key}-{'-'.join(f'{ref.message_id}{row.generation}' for ref, row in zip(refs, rows, strict=True))}"
        )


@st.dialog("Replay", width="medium", icon=":material/replay:")
def _confirm(refs: list[DeliveryRef], token: str) -> None:
    messages = len({ref.message_id for ref in refs})
    subscribers = sorted({ref.subscription for ref in refs})
    markup.title(
        f"{words.plural(len(refs), 'delivery')} of {words.plural(messages, 'message')}",
        quiet="Each is sent again as its next generation; the failed one stays as history.",
    )
    markup.facts([("Subscriber" if len(subscribers) == 1 else "Subscribers", ", ".join(subscribers))])
    markup.quiet("The same from a terminal:")
    st.code("\n".join(command_line("replay", ref) for ref in refs[:5]) + ("\n…" if len(refs) > 5 else ""),  # noqa: PLR2004
            language="bash")  # fmt: skip
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Leave it", key="replay.leave"):
            st.rerun()
        if st.button(f"Replay {words.plural(len(refs), 'delivery')}", type="primary", key="replay.confirm"):
            _act("replay", refs, token)
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


def is_first(token: str) -> bool:
    """Whether this token has not acted before. Quick clicks arrive one by one, each as a run of its own."""
    done: set[str] = st.session_state.setdefault(_DONE, set())
    if token in done:
        return False
    done.add(token)
    return True


def _act(verb: str, refs: list[DeliveryRef], token: str) -> None:
    if not is_first(token):
        return
    operations = access.operations()
    act = {"replay": operations.replay, "run now": operations.run_now, "cancel": operations.cancel}[verb]
    try:
        moved = act(refs)
    except BuslogError as error:
        remember(error)
        return
    what = {"replay": "sent again", "run now": "made due now", "cancel": "cancelled"}[verb]
    skipped = len(refs) - len(moved)
    more = f" {words.plural(skipped, 'delivery')} had moved on and stayed as it was." if skipped else ""
    remember(f"{words.plural(len(moved), 'delivery')} {what}.{more}")
