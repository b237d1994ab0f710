"""Copy for ticket: one message in Markdown, for people elsewhere. Never its payload. No Streamlit here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from buslog.console import clock, words
from buslog.insights import AttemptDetail, Cause, DeliveryDetail, MessageDetail
from buslog.message import DeliveryRef

ATTEMPTS_TOLD = 5
ERROR_TOLD = 1000  # characters


def markdown(
    message: MessageDetail, key_field: str, address: str, *, deliveries: Sequence[DeliveryDetail],
    attempts: Sequence[AttemptDetail], causes: Mapping[DeliveryRef, Sequence[Cause]],
) -> str:  # fmt: skip
    """Where to look, what was said when, and what became of it: times in UTC whatever the screen shows."""
    heading = words.TICKET_HEADING.format(kind=message.kind.capitalize(), name=_code(message.name))
    lines = [f"**{heading}**", ""]
    if message.key:
        lines.append(f"- {key_field}: {_code(message.key)}")
    lines += [f"- emitted: {clock.utc(message.emitted_at)}", f"- message: {_code(str(message.id))}", f"- {address}"]
    for delivery in deliveries:
        if not delivery.is_latest:
            continue
        again = f", {words.replayed(delivery.generation - 1, delivery.state)}" if delivery.generation > 1 else ""
        tried = words.plural(delivery.attempts, "attempt")
        when = f", {clock.utc(delivery.finished_at)}" if delivery.finished_at else ""
        lines += ["", f"{_code(delivery.subscription)}: **{delivery.state}** after {tried}{again}{when}"]
        lines += [words.because(cause) for cause in causes.get(delivery.ref, ())]
        raised = [attempt for attempt in attempts if attempt.subscription == delivery.subscription]
        for attempt in raised[:ATTEMPTS_TOLD]:
            which = f"generation {attempt.generation}, attempt {attempt.attempt}"
            lines += ["", f"{which}, {clock.utc(attempt.finished_at)}, {_code(attempt.worker)}:"]
            lines += _fenced(f"{attempt.error_type}: {attempt.error[:ERROR_TOLD]}" + _at(attempt.frame))
        if len(raised) > ATTEMPTS_TOLD:
            lines += ["", f"and {words.plural(len(raised) - ATTEMPTS_TOLD, 'earlier attempt')}"]
    return "\n".join(lines)


def _at(frame: str | None) -> str:
    return f"\n{frame}" if frame else ""


def _code(text: str) -> str:
    """Text that no Markdown reads: a code span longer than any run of backticks in it."""
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _fenced(text: str) -> list[str]:
    fence = "`" * max(_longest_run(text) + 1, 3)
    return [fence, text, fence]


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
