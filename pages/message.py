"""One message: what was said, and what became of it. Its deep link is /message?id=…."""

from collections import defaultdict
from uuid import UUID

import streamlit as st

from buslog.console import access, acting, frame, markup, problems, story, unmasking
from buslog.errors import InvalidFilter, NotFound
from buslog.filter import Filter, Range
from buslog.insights import DeliveryDetail

acting.say()
insights = access.insights()


def asked_for() -> UUID:
    text = st.query_params.get("id", "")
    try:
        return UUID(text)
    except ValueError:
        raise InvalidFilter(
            field="id", rule="is a message's id", was=text or "nothing", mend="Open a message from the Log."
        ) from None


def links(key: str | None) -> None:
    with st.container(horizontal=True):
        last = st.session_state.get("log.last", {})
        st.page_link(frame.LOG, label="Log", icon=":material/arrow_back:", query_params=last)
        if key:
            st.page_link(
                frame.LOG, label="All of this key", icon=":material/manage_search:",
                query_params=Filter(key=key, range=Range.ALL).to_params(),
            )  # fmt: skip


def deliveries(*, is_imported: bool) -> list[DeliveryDetail]:
    found = insights.deliveries(message_id)
    attempts = defaultdict(list)
    for attempt in insights.attempts(message_id):
        attempts[attempt.subscription].append(attempt)
    generations = defaultdict(list)
    for delivery in found:
        generations[delivery.subscription].append(delivery)
    for subscription, (latest, *earlier) in generations.items():
        story.delivery_card(latest, earlier, attempts[subscription])
    if not found:
        markup.quiet("Imported: it was never executed here." if is_imported else "Nobody subscribed to it.")
    return found


def watch(*, is_imported: bool) -> None:
    """The deliveries; looked at again every second as long as one of them is open."""
    is_watching = any(map(story.is_open, insights.deliveries(message_id)))

    @st.fragment(run_every=story.WATCH_EVERY if is_watching else None)
    def watched() -> None:
        acting.say()  # a click in here runs this part alone
        with problems.shown():
            is_open = any(map(story.is_open, deliveries(is_imported=is_imported)))
            # A click in here runs this part alone, without a timer; and the last of the open ones ends the timer.
            if is_open != is_watching:
                st.rerun()

    watched()


message_id = asked_for()
message = insights.message(message_id)
links(message.key if message else None)
if message is None:
    raise NotFound(field="message", rule="exists", was=str(message_id), mend="Look for it in the Log.")
story.head(message, insights.key_field())
left, right = st.columns([3, 2], gap="medium")
with left:
    st.subheader("Deliveries")
    watch(is_imported=message.source == "import")
with right:
    st.subheader("Payload")
    unmasking.offer(message)
    story.payload(message)
    done = insights.operations(message_id)
    if done:
        st.subheader("Operations")
        story.operations(done)
st.subheader("Thread")
with problems.shown():
    story.thread(insights.thread(message.correlation_id), message_id)
