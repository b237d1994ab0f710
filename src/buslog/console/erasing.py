"""The danger zone of a key: erasing all that is known of it."""

from __future__ import annotations

import streamlit as st

from buslog.console import access, markup, once, words
from buslog.insights import ToErase


def zone(key: str) -> None:
    """A folded danger zone with the button that opens the dialog."""
    with st.expander(words.DANGER, icon=":material/warning:", key="erase.zone"):
        markup.quiet(words.ERASE_HELP)
        denied = access.may("erase")
        if st.button(words.ERASE.format(key=markup.literal(key)), key="erase.open", icon=":material/delete_forever:",
                     disabled=bool(denied), help=denied or None):  # fmt: skip
            once.opened("erase")
            _dialog(key)


def why_not(found: ToErase) -> str:
    """Why it cannot be erased now; empty when it can."""
    if not found.messages:
        return words.ERASE_NOTHING
    if found.unfinished:
        return words.ERASE_UNFINISHED.format(deliveries=words.plural(found.unfinished, "delivery"))
    if found.runs:
        return words.ERASE_RUNS.format(runs=", ".join(str(run) for run in found.runs))
    return "" if found.left else words.ERASE_ALL_DONE


@st.dialog(words.DANGER, width="medium", icon=":material/delete_forever:")
def _dialog(key: str) -> None:
    once.shown("erase")
    found = access.insights().to_erase(key)
    reason_not = why_not(found)
    markup.title(words.ERASE_TITLE.format(key=key), quiet=words.ERASE_MORE)
    if found.erased and found.left:
        markup.quiet(words.ERASE_GOES_ON.format(erased=words.plural(found.erased, "message")))
    if reason_not:
        st.warning(reason_not, icon=":material/warning:")
    st.text_input(words.ITS_REASON, key="erase.reason", max_chars=200, placeholder=words.ITS_REASON_HINT)
    st.text_input(words.ERASE_TYPE.format(key=markup.literal(key)), key="erase.typed", max_chars=200)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(words.LEAVE_IT, key="erase.leave"):
            st.rerun()
        label = words.ERASE_CONFIRM.format(messages=words.plural(found.left, "message"))
        st.button(label, key="erase.confirm", type="primary", disabled=bool(reason_not), help=reason_not or None,
                  on_click=_erase, args=(key,))  # fmt: skip


def _erase(key: str) -> None:
    typed, reason = (str(st.session_state.get(f"erase.{name}") or "") for name in ("typed", "reason"))

    def deed() -> str:
        done = access.privacy().erase(key, typed=typed, reason=reason)
        said = words.ERASED.format(messages=words.plural(done.messages, "message"), key=key)
        return said + (words.ERASED_LEFT.format(left=words.plural(done.left, "message")) if done.left else "")

    why_not = words.REASON_IS_MISSING if not reason.strip() else words.ERASE_TYPED_WRONG if typed != key else ""
    once.act("erase", why_not, deed)
