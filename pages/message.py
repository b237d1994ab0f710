"""One message: what was said, and what became of it. Its deep link is /message?id=…."""

from collections import defaultdict
from uuid import UUID

import streamlit as st

from buslog.console import (
    access,
    acting,
    editing,
    frame,
    links,
    markup,
    noting,
    problems,
    story,
    thread,
    ticket,
    unmasking,
    words,
)
from buslog.errors import InvalidFilter, NotFound
from buslog.insights import DeliveryDetail, MessageDetail
from buslog.notes import About

acting.say()
insights = access.insights()


def asked_for(parameter: str, default: str = "") -> UUID:
    text = st.query_params.get(parameter, default)
    try:
        return UUID(text)
    except ValueError:
        frame.header(words.MESSAGE)
        raise InvalidFilter(
            field=parameter, rule="is a message's id", was=text or "nothing", mend=words.MESSAGE_NO_ID
        ) from None


def bar(key: str | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        last = st.session_state.get("log.last", {})
        st.page_link(frame.LOG, label="Log", icon=":material/arrow_back:", query_params=last)
        if key:
            label = words.OPEN_KEY.format(key=markup.literal(key))
            st.page_link(frame.KEY, label=label, icon=":material/timeline:", query_params={"key": key})
            address = links.outside(key)
            if address:
                outside = markup.link(address, words.OPEN_OUTSIDE.format(key=key), is_outside=True)
                st.html(f'<span style="font-size:.95rem">{outside}</span>', width="content")


def deliveries(message: MessageDetail) -> list[DeliveryDetail]:
    found = insights.deliveries(message.id)
    causes = insights.why([message.id]) if any(map(story.is_open, found)) else {}
    attempts = defaultdict(list)
    for attempt in insights.attempts(message.id):
        attempts[attempt.subscription].append(attempt)
    generations = defaultdict(list)
    for delivery in found:
        generations[delivery.subscription].append(delivery)
    for subscription, (latest, *earlier) in generations.items():
        story.delivery_card(latest, earlier, attempts[subscription], causes.get(latest.ref, []))
    if not found:
        markup.quiet(words.MESSAGE_IMPORTED if message.source == "import" else words.MESSAGE_NOBODY)
    return found


def watch(message: MessageDetail) -> None:
    """The deliveries; looked at again every second as long as one of them is open."""
    is_watching = any(map(story.is_open, insights.deliveries(message.id)))

    @st.fragment(run_every=story.WATCH_EVERY if is_watching else None)
    def watched() -> None:
        acting.say()  # a click in here runs this part alone
        with problems.shown():
            is_open = any(map(story.is_open, deliveries(message)))
            # A click in here runs this part alone, without a timer; and the last of the open ones ends the timer.
            if is_open != is_watching:
                st.rerun()

    watched()


def tools(message: MessageDetail, key_field: str) -> None:
    found = insights.deliveries(message.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover(words.TICKET, icon=":material/content_copy:"):
            markup.quiet(words.TICKET_MORE)
            address = f"{(st.context.url or '').partition('?')[0]}?id={message.id}"
            attempts, causes = insights.attempts(message.id), insights.why([message.id])
            text = ticket.markdown(message, key_field, address, deliveries=found, attempts=attempts, causes=causes)
            st.code(text, language=None, wrap_lines=True)
        editing.button(message, found)


message_id = asked_for("id")
around = asked_for("around", str(message_id))
message = insights.message(message_id)
bar(message.key if message else None)
if message is None:
    frame.header(words.MESSAGE)
    raise NotFound(field="message", rule="exists", was=str(message_id), mend="Look for it in the Log.")
key_field = insights.key_field()
story.head(message, key_field)
if message.causation_id and message.actor:
    story.edited_from(message, insights.operations(message.causation_id))
tools(message, key_field)
left, right = st.columns([3, 2], gap="medium")
with left:
    st.subheader("Deliveries")
    watch(message)
with right:
    st.subheader("Payload")
    unmasking.offer(message)
    story.payload(message)
    done = [operation for operation in insights.operations(message_id) if operation.verb != "note"]
    if done:
        st.subheader(words.OPERATIONS)
        story.operations(done)
    st.subheader(words.NOTES)
    noting.show(About.MESSAGE, str(message_id))
st.subheader("Thread")
with problems.shown():
    thread.show(insights.thread(message.correlation_id, around), message_id, around)
