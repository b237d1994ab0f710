"""What became of one message: head, payload, deliveries and what people did, as the Message page shows them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from buslog.console import acting, clock, documents, links, markup, words
from buslog.insights import AttemptDetail, Cause, DeliveryDetail, MessageDetail, OperationDetail
from buslog.message import OPEN_STATES, State

WATCH_EVERY = 1.0  # seconds, while something is open
LONG_PAYLOAD = 22  # lines: a longer one scrolls in its box
VERY_LONG_PAYLOAD = 200  # lines: a longer one is folded


def head(message: MessageDetail, key_field: str) -> None:
    markup.heading(message.name, before=message.kind.capitalize())
    told_by = words.SOURCES.get(message.source, message.source)
    markup.facts(
        [
            (key_field, message.key or words.MESSAGE_NO_KEY),
            (f"Emitted ({clock.zone()})", clock.to_the_millisecond(message.emitted_at)),
            ("By", f"{message.actor}, through {told_by}" if message.actor else told_by),
            ("Message", str(message.id)),
        ]
    )


def edited_from(message: MessageDetail, done: Sequence[OperationDetail]) -> None:
    """Whose edited copy it is, if it is one: `done` is what people did to its cause."""
    made = next((operation for operation in done if operation.made == message.id), None)
    if made and message.causation_id:
        why = f": “{made.reason}”" if made.reason else ""
        told = words.EDITED_FROM.format(actor=made.actor, why=why)
        st.html(markup.sentence(told, markup.link(links.message(message.causation_id), words.OPEN_ORIGINAL)))


def payload(message: MessageDetail) -> None:
    """Its payload with sorted keys; above 64 kB the beginning, as the database writes it, and the file."""
    if message.payload_is_cut:
        markup.quiet(words.MESSAGE_PAYLOAD_CUT.format(bytes=message.payload_bytes))
        text = message.payload
    else:
        text = documents.pretty(documents.parse(message.payload))
    lines = text.count("\n") + 1
    if lines > VERY_LONG_PAYLOAD:
        # Sent when it is asked for, and without colours: a browser takes seconds to colour thousands of lines.
        folded = st.expander(words.MESSAGE_PAYLOAD_LONG.format(lines=lines), key="payload.long", on_change="rerun")
        if folded.open:
            with folded:
                st.code(text, language=None, wrap_lines=True, height=600)
    else:
        st.code(text, language="json", wrap_lines=True, height=420 if lines > LONG_PAYLOAD else "content")
    markup.download(words.MESSAGE_PAYLOAD_FILE, links.payload(message.id))


def is_open(delivery: DeliveryDetail) -> bool:
    """Whether its state may change by itself soon."""
    return delivery.state in OPEN_STATES


def why(causes: Sequence[Cause], *, key: str | None = None) -> str:
    """Why it has not run yet, each reason a sentence; what it waits for is a link, unless the page is that key's.
    As HTML.
    """
    sentences = ""
    for cause in causes:
        ways = []
        if cause.holder:
            ways.append(markup.link(links.message(cause.holder.message_id), words.MESSAGE_LOOK_AT_HOLDER))
        if cause.key and cause.key != key:
            ways.append(markup.link(links.key(cause.key), words.OPEN_KEY.format(key=cause.key)))
        sentences += markup.sentence(words.because(cause), " · ".join(ways))
    return sentences


def delivery_card(
    delivery: DeliveryDetail, earlier: list[DeliveryDetail], attempts: list[AttemptDetail], causes: Sequence[Cause]
) -> None:
    """The latest generation, with buttons; its attempts and the earlier generations folded."""
    look = words.STATES[delivery.state]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            markup.title(delivery.subscription, quiet=delivery.mode)
            with st.container(horizontal=True, width="content"):
                _badges(delivery)
                st.badge(words.label(delivery.state), color=look.color, help=look.meaning)
        if causes:
            st.html(why(causes))
        markup.facts(
            [
                ("Attempts", str(delivery.attempts) if delivery.attempts else ""),
                (f"Finished ({clock.zone()})", clock.stamp(delivery.finished_at)),
                ("Took", clock.lasted(delivery.finished_at - delivery.started_at)
                 if delivery.finished_at and delivery.started_at else ""),
                ("Worker", (delivery.worker or "") if delivery.finished_at else ""),
            ]
        )  # fmt: skip
        if delivery.error_type and delivery.state is not State.SUCCEEDED:
            frame = next((a.frame for a in attempts if a.generation == delivery.generation), None)
            markup.error(delivery.error_type, delivery.error or "", frame)
        if delivery.result not in {None, "null"}:
            markup.quiet("Result")
            st.code(delivery.result or "", language="json", wrap_lines=True)
        acting.buttons(delivery)
        if attempts:
            with st.expander(words.THAT_RAISED.format(attempts=words.plural(len(attempts), "attempt"))):
                for attempt in attempts:
                    _attempt(attempt, is_one_of_many=bool(earlier))
        if earlier:
            with st.expander(f"{words.plural(len(earlier), 'earlier generation')}"):
                for generation in earlier:
                    _generation(generation)


def _badges(delivery: DeliveryDetail) -> None:
    if delivery.repeats:
        st.badge(words.MESSAGE_SENT_AGAIN, color="violet", help=words.MESSAGE_SENT_AGAIN_MORE)
    if delivery.generation > 1:
        st.badge(words.replayed(delivery.generation - 1, delivery.state), color="gray")


def _attempt(attempt: AttemptDetail, *, is_one_of_many: bool) -> None:
    which = f"Generation {attempt.generation}, attempt" if is_one_of_many else "Attempt"
    took = clock.lasted(attempt.finished_at - attempt.started_at)
    markup.quiet(
        f"{which} {attempt.attempt} · {clock.stamp(attempt.finished_at)} {clock.zone()} · took {took} · "
        f"{attempt.worker}" + (f" · release {attempt.code_version}" if attempt.code_version else "")
    )
    markup.error(attempt.error_type, attempt.error, attempt.frame)


def _generation(delivery: DeliveryDetail) -> None:
    markup.quiet(
        f"Generation {delivery.generation} · {words.label(delivery.state)} · {clock.stamp(delivery.finished_at)} "
        f"{clock.zone()} · {words.plural(delivery.attempts, 'attempt')}"
    )
    if delivery.error_type:
        markup.error(delivery.error_type, delivery.error or "")


def operations(done: Sequence[OperationDetail]) -> None:
    """What people did to the message, oldest first."""
    for operation in done:
        on = f" {operation.subscription}" if operation.subscription else ""
        markup.title(
            f"{operation.verb}{on}",
            quiet=f"{clock.stamp(operation.at)} {clock.zone()} · {operation.actor}"
            + (f" · {operation.reason}" if operation.reason else ""),
        )
        if operation.made:
            st.html(markup.sentence("", markup.link(links.message(operation.made), words.OPEN_IT)))
