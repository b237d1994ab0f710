"""All words of the screens that stand for something in the glossary, and what they look like, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from buslog.filter import Range
from buslog.message import State

Color = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]


@dataclass(frozen=True, slots=True)
class Look:
    """A state on screens: never by colour alone. `tone` is the badge in tables, chosen for colour-blind eyes too."""

    mark: str
    color: Color
    tone: str
    meaning: str


STATES: dict[State, Look] = {
    State.FAILED: Look("✕", "red", "#D55E00", "Attempts used up, or not worth retrying: waits for a person."),
    State.RETRYING: Look("↻", "orange", "#E69F00", "An attempt raised; the next one is due later."),
    State.RUNNING: Look("▶", "blue", "#0072B2", "A worker is at it."),
    State.PENDING: Look("○", "blue", "#56B4E9", "Due now, waiting for a worker."),
    State.SCHEDULED: Look("◷", "violet", "#8E7CC3", "Due later."),
    State.BLOCKED: Look("‖", "violet", "#8E7CC3", "Behind another one: its turn comes later."),
    State.SUCCEEDED: Look("✓", "green", "#009E73", "The subscriber has done its work."),
    State.CANCELLED: Look("–", "gray", "#8A91A0", "A person ended it."),
    State.UNROUTED: Look("·", "gray", "#8A91A0", "Nobody subscribed to it."),
    State.IMPORTED: Look("⇣", "gray", "#8A91A0", "History, taken over from elsewhere."),
}

RANGES: dict[Range, str] = {
    Range.HOUR: "1 h",
    Range.SIX_HOURS: "6 h",
    Range.DAY: "24 h",
    Range.WEEK: "7 days",
    Range.MONTH: "30 days",
    Range.ALL: "All",
}
RANGE_PHRASES: dict[Range, str] = {
    Range.HOUR: "in the last hour",
    Range.SIX_HOURS: "in the last 6 hours",
    Range.DAY: "in the last 24 hours",
    Range.WEEK: "in the last 7 days",
    Range.MONTH: "in the last 30 days",
    Range.ALL: "at any time",
}

SOURCES = {
    "bus": "the application",
    "sql": "SQL",
    "cli": "the command line",
    "dashboard": "the dashboard",
    "import": "an import",
}

NOTHING_YET = "Nothing was emitted yet."
NOTHING_YET_MORE = "Emit the first message, and it shows here:"
NOTHING_YET_HOW = "SELECT buslog.emit('shipmentDeparted', '{\"shipmentId\": \"S-42\"}');"
ALL_IS_WELL = "No failures. Nice work."
NO_MATCH = "No message matches this filter."
NO_COMMANDS = "No command is registered yet."
NO_COMMANDS_HOW = '@bus.command("resyncTracking", payload=ResyncTracking)\nasync def resync_tracking(message): ...'
NO_WORKER = "No worker is running: what is emitted waits."
NO_WORKER_HOW = "buslog worker module:bus"

# ── Overview ────────────────────────────────────────────────────────────────────

# ── Failures ────────────────────────────────────────────────────────────────────

# ── Log and filters ─────────────────────────────────────────────────────────────

# ── Message ─────────────────────────────────────────────────────────────────────

# ── Key ─────────────────────────────────────────────────────────────────────────

# ── Commands ────────────────────────────────────────────────────────────────────

# ── Subscribers ─────────────────────────────────────────────────────────────────

# ── Replays ─────────────────────────────────────────────────────────────────────

# ── Audit ───────────────────────────────────────────────────────────────────────

# ── Your permissions, people, duty ──────────────────────────────────────────────

# ── Export ──────────────────────────────────────────────────────────────────────

# ── Alerts ──────────────────────────────────────────────────────────────────────

# ── Functions ───────────────────────────────────────────────────────────────────


def label(state: State) -> str:
    """Mark and word: ✕ failed."""
    return f"{STATES[state].mark} {state}"


def plural(number: int, noun: str) -> str:
    """Such as: 1 delivery, 8,577 messages."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1] + 'ies' if noun.endswith('y') and noun != 'key' else noun + 's'}"


def short(subscription: str) -> str:
    """A subscription's id without its outer packages, for lists: freight.emails:send → emails:send."""
    module, colon, function = subscription.partition(":")
    return f"{module.rpartition('.')[2]}:{function}" if colon and " " not in module else subscription
