"""What is masked of a message: said, and lifted for one person, one message, one session."""

from __future__ import annotations

from uuid import UUID

import streamlit as st

from buslog.console import access, markup, once, words
from buslog.insights import MessageDetail


def offer(message: MessageDetail) -> None:
    """Says what is masked of the message, or that it is not for this person; with the button to lift it."""
    if message.id in access.unmasked():
        markup.quiet(words.IS_UNMASKED)
    elif message.is_masked:
        fields = access.insights().mask().fields
        with st.container(horizontal=True, vertical_alignment="center"):
            markup.quiet(words.SOME_IS_MASKED.format(fields=", ".join(fields)))
            why_not = access.may("unmask")
            if st.button(words.UNMASK, key="unmask", icon=":material/visibility:", disabled=bool(why_not),
                         help=why_not or words.UNMASK_HELP):  # fmt: skip
                once.opened("unmask")
                _dialog(message.id)


@st.dialog(words.UNMASK, icon=":material/visibility:")
def _dialog(message_id: UUID) -> None:
    once.shown("unmask")
    markup.quiet(words.UNMASK_MORE)
    st.text_input(words.ITS_REASON, key="unmask.reason", max_chars=200, placeholder=words.ITS_REASON_HINT)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(words.LEAVE_IT, key="unmask.leave"):
            st.rerun()
        st.button(words.UNMASK, key="unmask.confirm", type="primary", on_click=_unmask, args=(message_id,))


def _unmask(message_id: UUID) -> None:
    reason = str(st.session_state.get("unmask.reason") or "")

    def deed() -> str:
        access.unmask(message_id, reason)
        return words.IS_UNMASKED

    once.act("unmask", "" if reason.strip() else words.REASON_IS_MISSING, deed)
