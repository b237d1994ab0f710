"""All words of the screens that stand for something in the glossary, and what they look like, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from buslog.filter import Range
from buslog.message import State
from buslog.rights import Role

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

TIMES_IN = "Times in"
FIND = "Find by id, {key_field} or ref"
FIND_HOW = (
    "One value, or many pasted: up to 1,000, separated by commas, blanks or lines. One with blanks in it stands in "
    '"quotes". Refs, such as container or booking numbers, are found about a second after the emit.'
)
FIND_PLACEHOLDER = "Paste one or many"
ANY_NAME, ANY_STATE, ANY_SUBSCRIBER, ANY = "Any name", "Any state", "Any subscriber", "Any"
FAILING = "{name}  ·  failing"
BETWEEN = "Between …"
FROM, TO = "From", "To, not included"
MORE, MORE_HOW = "More", "Subscriber, error, thread, payload"
ERROR_TYPE, ERROR_TEXT = "Error type, exactly", "Error text, contains"
THREAD_ID, THREAD_HOW = "Thread, its id", "The correlation id: every message that one first message led to."
ADVANCED = "Advanced"
PAYLOAD = "Payload contains (JSON)"
PAYLOAD_HOW = (
    'Such as {"carrier": "MSC"}. Every payload of the time is read: 31 days of the log at most, unless an id, a key or '
    "a ref is looked for as well."
)
CHIPS = {"find": "find", "subscription": "subscriber", "error_type": "error", "error_text": "error text",
         "correlation": "thread", "payload": "payload"}  # fmt: skip
MANY_VALUES = "{number} pasted values"
TAKE_AWAY = "Take this filter away"
CLEAR_ALL, CLEAR_FILTER = "Clear all", "Clear the filter"
VIEW_STANDS_ALONE = "A saved view is a whole filter."

VIEWS, VIEWS_HOW = "Views", "Filters that you or your team saved"
NO_VIEWS = "No view is saved yet."
SHARED_BY = "shared by {who}"
SAVE_VIEW, SAVE_VIEW_HOW = "Save this filter …", "Nothing is filtered."
MANAGE_VIEWS, MANAGE_VIEWS_HOW = "Rename or delete …", "You have saved none."
VIEW_NAME, VIEW_SHARED, VIEW_CHOSEN, NEW_NAME = "Name", "Show it to everybody", "View", "New name"
VIEW_RELATIVE = "A time such as 24 h stays relative: the view always shows the latest."
SAVE, RENAME, DELETE = "Save", "Rename", "Delete"
SAVED, RENAMED, DELETED = "Saved as {name}.", "Renamed to {name}.", "{name} is deleted."

NEW_ROWS = "{count} new: show"
NEWEST, NEWER, OLDER, REFRESH = "Newest", "Newer", "Older", "Refresh"
EXPORT_CSV = "Export CSV"
OVER_TIME = "Over time"
BAR_HOW = "By {bucket}, where the message was emitted. Click a bar to look closer."
ROWS_CAPPED = "{rows} rows: a delivery each, or a message without one."
ROWS_NOT_COUNTED = "More rows than could be counted in time: a delivery each, or a message without one."
NOTHING_IN_TIME, IN_THAT_TIME = "Nothing {phrase}.", "in that time"
OUTSIDE_IT, SHOW_OUTSIDE = "{told} outside it.", "{told}: show all"
NOT_LOOKED_OUTSIDE = "Whether there is more outside it could not be found out in time."
SHOW_ALL_TIME = "Look at all time"
EMPTY_BY_FILTER, SHOW_EVERYTHING = "The filter is what leaves it empty.", "Show everything"
NOTHING_MORE = "Nothing more here: back to the newest"
REPLAYS_COLUMN = "Replays"
REPLAYED, REPLAYED_ONCE = "replayed ×{times} · last {outcome}", "replayed once · last {outcome}"
REPLAY_OUTCOMES = {State.SUCCEEDED: "ok", State.FAILED: "failed"}

# ── Message ─────────────────────────────────────────────────────────────────────

# ── Key ─────────────────────────────────────────────────────────────────────────

# ── Commands ────────────────────────────────────────────────────────────────────

# ── Subscribers ─────────────────────────────────────────────────────────────────

# ── Replays ─────────────────────────────────────────────────────────────────────

# ── Audit ───────────────────────────────────────────────────────────────────────

# ── Your permissions, people, duty ──────────────────────────────────────────────

LOG_IN = "Log in"
LOG_IN_TITLE = "buslog control room"
LOG_IN_WHY = "Log in to see it. What you may do there depends on your role."
LOG_IN_FIRST = "Log in first."
LOG_OUT = "Log out"
PERMISSIONS = "Your permissions"
PERMISSIONS_HELP = "Who you are, what you may do, and how to get more."

ROLES: dict[Role, tuple[str, str]] = {  # mark, and what it means
    Role.VIEWER: ("○", "sees everything, changes nothing"),
    Role.OPERATOR: ("◐", "mends: replays, runs, cancels"),
    Role.ADMIN: ("●", "everything, people included"),
}

# What each verb of rights.RIGHTS lets somebody do.
VERBS: dict[str, str] = {
    "look": "See every page, message and figure",
    "export": "Take a file of the log away",
    "emit": "Emit a message by hand",
    "run": "Run a command",
    "replay": "Replay a delivery",
    "run now": "Make a waiting delivery due at once",
    "cancel": "Cancel a delivery",
    "preview": "Preview what a stored run would do",
    "replay many": "Start a replay of many",
    "run now many": "Start a run now of many",
    "cancel many": "Start a cancel of many",
    "stop": "Stop a stored run",
    "acknowledge": "Acknowledge, assign and resolve failure groups",
    "note": "Write notes",
    "take duty": "Take over duty, and hand it over",
    "save view": "Save views for the team",
    "rename view": "Give a view of one's own another name",
    "delete view": "Delete a view of one's own",
    "pause": "Pause a subscription",
    "resume": "Resume a subscription",
    "import": "Take over history from elsewhere",
    "refs backfill": "Look through the log for refs",
    "unmask": "See masked fields",
    "erase": "Erase what is kept about a key",
    "set role": "Give roles to people",
    "set alert": "Change the alert rules",
}

MAY, MAY_NOT = "✓ yes", "✕ no"
WHAT_YOU_MAY = "What you may do"
ROLE = "Role"
ROLE_FROM = "Where it comes from"
FROM_HAND = "an admin gave it to you"
FROM_LOGIN = "the groups of your login"
FROM_NOTHING = "everybody who can log in may look"
FROM_THIS_MACHINE = "you are at this machine, and nobody logs in"
HOW_TO_GET_MORE = "How to get more"
ASK_AN_ADMIN = "ask an admin: they give roles on this page, or with `buslog people set-role`"
PEOPLE = "People"
NOBODY_YET = "Nobody has logged in yet, or was given a role."
NEVER_SEEN = "never yet"
BY_HAND, BY_LOGIN = "by hand", "by login"
GIVE_A_ROLE = "Give a role"
GIVE_A_ROLE_HELP = "It wins over what the login says, and counts from the next click on. It is in the audit."
PERSON = "Person"
PERSON_HINT = "Choose, or type an e-mail"
LOGIN_DECIDES = "as the login says"
CHOOSE = "Choose"
REASON = "Reason · optional"
GIVE = "Give the role"
PERSON_AND_ROLE = "Choose a person and a role."


def denied(verb: str, role: Role, least: Role) -> str:
    """Why a button is disabled, for somebody whose role is too low."""
    return f"To {verb} takes {_a(least)}; you are {_a(role)}. An admin can change that."


def role_given(person: str, role: str) -> str:
    return f"The role of {person}: {role}."


def _a(role: Role) -> str:
    return f"a {role}" if role is Role.VIEWER else f"an {role}"


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
