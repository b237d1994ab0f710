"""What became of one message: its deliveries, attempts, thread and operations, as the Message page shows them."""

from __future__ import annotations

from datetime import datetime
from html import escape
from uuid import UUID

import streamlit as st

from buslog.console import acting, clock, markup, words
from buslog.insights import AttemptDetail, DeliveryDetail, MessageDetail, OperationDetail, Thread, ThreadMessage
from buslog.message import OPEN_STATES, State

WATCH_EVERY = 1.0  # seconds, while something is open
LONG_PAYLOAD = 22  # lines: a longer one scrolls in its box
MOST_INDENT = 20


def head(message: MessageDetail, key_field: str) -> None:
    markup.heading(message.name, before=message.kind.capitalize())
    told_by = words.SOURCES.get(message.source, message.source)
    markup.facts(
        [
            (key_field, message.key or ""),
            (f"Emitted ({clock.zone()})", clock.to_the_millisecond(message.emitted_at)),
            ("By", f"{message.actor}, through {told_by}" if message.actor else told_by),
            ("Message", str(message.id)),
        ]
    )


def payload(message: MessageDetail) -> None:
    if message.payload_is_cut:
        markup.quiet(f"The first 64 kB of {message.payload_bytes:,} bytes.")
    st.code(
        message.payload,
        language="json",
        wrap_lines=True,
        height=420 if message.payload.count("\n") > LONG_PAYLOAD else "content",
    )


def is_open(delivery: DeliveryDetail) -> bool:
    """Whether its state may change by itself soon."""
    return delivery.state in OPEN_STATES


def why_waiting(delivery: DeliveryDetail) -> str:
    """Why it has not run yet, in words."""
    nobody = " No live worker hosts this subscriber." if not delivery.is_hosted else ""
    if delivery.state is State.PENDING:
        return "Due now." + (nobody or " Waiting for a worker that is free.")
    if delivery.state in {State.RETRYING, State.SCHEDULED} and delivery.due_at:
        what = "The next attempt is" if delivery.state is State.RETRYING else "It is"
        return f"{what} due {clock.until(delivery.due_at)}, at {clock.stamp(delivery.due_at)} {clock.zone()}.{nobody}"
    if delivery.state is State.BLOCKED:
        return "Waits for the serial subscriber before it."
    if delivery.state is State.RUNNING and delivery.worker:
        return f"{delivery.worker} is at it."
    return ""


def delivery_card(delivery: DeliveryDetail, earlier: list[DeliveryDetail], attempts: list[AttemptDetail]) -> None:
    """The latest generation, with buttons; its attempts and the earlier generations folded."""
    look = words.STATES[delivery.state]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            markup.title(delivery.subscription, quiet=f"{delivery.mode}{_again(delivery)}")
            st.badge(words.label(delivery.state), color=look.color, help=look.meaning)
        waiting = why_waiting(delivery)
        if waiting:
            markup.quiet(waiting)
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
            with st.expander(f"{words.plural(len(attempts), 'attempt')} that raised"):
                for attempt in attempts:
                    _attempt(attempt, is_one_of_many=bool(earlier))
        if earlier:
            with st.expander(f"{words.plural(len(earlier), 'earlier generation')}"):
                for generation in earlier:
                    _generation(generation)


def _again(delivery: DeliveryDetail) -> str:
    times = delivery.generation - 1
    return f" · replayed {'once' if times == 1 else f'{times} times'}" if times else ""


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


# ── thread ──────────────────────────────────────────────────────────────────────


def thread(thread_: Thread, current: UUID) -> None:
    """The causation tree: indented, in the order of causes, each message a link."""
    first = thread_.messages[0].emitted_at if thread_.messages else clock.now()
    lines = "".join(_thread_line(message, first, is_current=message.id == current) for message in thread_.messages)
    st.html(f'<div style="overflow-x:auto">{lines}</div>')
    if thread_.is_capped:
        markup.quiet(f"Only the first {len(thread_.messages):,} messages of this thread are shown.")


def _thread_line(message: ThreadMessage, first: datetime, *, is_current: bool) -> str:
    states = " ".join(
        f'<span style="color:{words.STATES[state].tone};white-space:nowrap">{words.STATES[state].mark} '
        f"{number if number > 1 else ''} {state}</span>"
        for state, number in sorted(message.states.items(), key=lambda item: list(State).index(item[0]))
    )
    later = message.emitted_at - first
    when = f"+{clock.lasted(later)}" if later else clock.time_of_day(message.emitted_at)
    name = escape(message.name)
    if is_current:
        name = f"<b>{name}</b>"
    else:
        name = f'<a href="message?id={message.id}" target="_self" style="{_LINK}">{name}</a>'
    branch = '<span style="opacity:.4">└ </span>' if message.depth else ""
    key = f'<span style="opacity:.66">{escape(message.key)}</span>' if message.key else ""
    indent = min(message.depth, MOST_INDENT) * 1.1
    return (
        f'<div style="{_LINE}{"background:rgba(91,127,232,.12)" if is_current else ""}">'
        f'<span style="{_WHEN}">{when}</span>'
        f'<span style="padding-left:{indent}rem;overflow-wrap:anywhere">{branch}{name} {key}</span>'
        f'<span style="{_STATES}">{states}</span></div>'
    )


_LINE = "display:flex;gap:.9rem;align-items:baseline;padding:.18rem .5rem;border-radius:6px;"
_WHEN = "opacity:.66;font-variant-numeric:tabular-nums;min-width:5.2rem;font-size:.85rem"
_STATES = "margin-left:auto;font-size:.85rem;display:flex;gap:.7rem"
_LINK = "color:inherit;text-underline-offset:.2em;text-decoration-color:rgba(128,136,152,.6)"


def operations(done: list[OperationDetail]) -> None:
    for operation in done:
        on = f" {operation.subscription}" if operation.subscription else ""
        markup.title(
            f"{operation.verb}{on}",
            quiet=f"{clock.stamp(operation.at)} {clock.zone()} · {operation.actor}"
            + (f" · {operation.reason}" if operation.reason else ""),
        )
