"""All words of the screens that stand for something in the glossary, and what they look like, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from buslog.export import Format
from buslog.filter import Range
from buslog.insights import Count, GroupStatus
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
NO_WORKER = "No worker is running: what is emitted waits."
NO_WORKER_HOW = "buslog worker module:bus"

# ── Overview ────────────────────────────────────────────────────────────────────

# ── Failures ────────────────────────────────────────────────────────────────────

GROUP_STATUSES: dict[GroupStatus, Look] = {
    GroupStatus.OPEN: Look("●", "red", "#D55E00", "Nobody has taken it on yet."),
    GroupStatus.ACKNOWLEDGED: Look("◐", "orange", "#B7791F", "It has been seen, and somebody is on it."),
    GroupStatus.RESOLVED: Look("✓", "green", "#009E73", "Its cause is mended; it opens by itself when it fails again."),
}
FAILURES = "Failures"
CAUSES_SHOWN = "Show"
ALL_CAUSES, DELIVERIES = "All causes", "Deliveries"
OPEN_GROUP = "Open"
OPEN_GROUP_HELP = "What is known of this cause, and its failed deliveries"
JUST_NOW = "just now"
FAILED_NOW, FAILED_EVER = "Failed now", "Failures ever"
FIRST_SEEN, LAST_SEEN = "First seen", "Last seen"
SINCE_RELEASE, LAST_RELEASE = "Since release", "Last in release"
CAUSE_SUBSCRIBER, CAUSE_SUBSCRIBERS, CAUSE_NAME, CAUSE_NAMES, CAUSE_KEYS, CAUSE_OWNER, CAUSE_NOTE = (
    "Subscriber", "Subscribers", "Name", "Names", "Keys", "Owner", "Note",
)  # fmt: skip
NO_SUCH_STATUS = "is open, acknowledged, resolved, all or deliveries"
NO_SUCH_GROUP = "Look for it among all causes: nothing has failed with this one."
TRACEBACK = "Traceback of the newest failure"
NO_TRACEBACK = "Nothing was kept of it."
OF_MESSAGE = "Open its message"
FROM_A_TERMINAL = "The same from a terminal"
ALL_FAILURES = "failures"
NONE_IN_TIME = "None of it in this time is failed now."
NONE_LEFT = "None of it is failed now."
NONE_LEFT_MORE = "What failed was replayed or cancelled; what is known of the cause stays."
NONE_OF_STATUS = {
    GroupStatus.OPEN: "No open cause.",
    GroupStatus.ACKNOWLEDGED: "No acknowledged cause.",
    GroupStatus.RESOLVED: "No resolved cause.",
}
SHOW_ALL_CAUSES, SHOW_ALL = "Show all causes", "Show all"
NO_MATCHING_FAILURE = "No failure matches this filter."
NO_MORE_HERE, BACK_TO_NEWEST = "No more failures on this page.", "Back to the newest"
ACKNOWLEDGE, ACKNOWLEDGE_HELP = "Acknowledge", "Say that it has been seen, and that somebody is on it."
ASSIGN, ASSIGN_HELP = "Assign", "Give it to a person, by name."
WRITE_NOTE, NOTE_HELP = "Note", "Write down what is known about it."
RESOLVE, RESOLVE_HELP = "Resolve", "Say that its cause is mended. It opens by itself when it fails again."
REOPEN, REOPEN_HELP = "Reopen", "Nobody is on it after all, or it is not mended."
IS_ACKNOWLEDGED, IS_RESOLVED, IS_OPEN = (
    "It is acknowledged already.", "It is resolved: reopen it first.", "It is open.",
)  # fmt: skip
ASSIGN_TITLE, NOTE_TITLE, RESOLVE_TITLE = "Assign this cause", "Note on this cause", "Resolve this cause"
CAUSE_PERSON, CAUSE_PERSON_HINT, NOTE_HINT = "Person", "A name; empty for nobody", "What is known, a ticket, a link"
RESOLVE_HINT = "Such as: release 1.4 mends it"
RESOLVE_LEAVES = "Its failed deliveries stay until they are replayed or cancelled."
LEAVE_IT, SAVE = "Leave it", "Save"
GROUP_SAID = {
    "acknowledge": "Acknowledged.", "assign": "Assigned.", "note": "Note saved.", "resolve": "Resolved.",
    "reopen": "Open again.",
}  # fmt: skip
GROUP_SAID_BEFORE = "It was so already."


def outside(older: Count, newer: Count) -> str:
    """Such as: 8,577 older, 3 newer."""
    counted = ((older, "older"), (newer, "newer"))
    return ", ".join(f"{count} {where}" for count, where in counted if count)


def reopened(times: int) -> str:
    return "came back once after it was resolved" if times == 1 else f"came back {times} times after it was resolved"


def only_largest(shown: int, of: int) -> str:
    return f"The {shown} largest of {of:,}: narrow the filter to see others."


def elsewhere(by_status: Mapping[GroupStatus, int]) -> str:
    """Such as: 2 acknowledged, 1 resolved."""
    return ", ".join(f"{by_status[status]:,} {status}" for status in GroupStatus if by_status.get(status))


def trend(counts: Sequence[int], *, is_hourly: bool) -> str:
    return f"{sum(counts):,} failed in the last {'24 hours' if is_hourly else '30 days'}"


# ── Log and filters ─────────────────────────────────────────────────────────────

# ── Message ─────────────────────────────────────────────────────────────────────

# ── Key ─────────────────────────────────────────────────────────────────────────

# ── Commands ────────────────────────────────────────────────────────────────────

NO_COMMANDS = "No command is registered yet."
NO_COMMANDS_MORE = "Register one in the application:"
NO_COMMANDS_HOW = '@bus.command("resyncTracking", payload=ResyncTracking)\nasync def resync_tracking(message): ...'
COMMAND_NOT_HOSTED = "No live worker hosts this command: a run waits until one does."
NEVER_RUN = "Never run yet."
RUN_ONE, RUN_KEYS, RUN_FILE = "One", "Many keys", "A CSV file"
KEYS_HINT = "Paste them: one a line, or with commas or blanks between them."
FILE_HINT = "The first line names the columns. Commas, semicolons or tabs; at most 10,000 rows."
FAULTS_ABOVE = "Nothing was run. Correct what is marked."
FILE_REFUSED = "Nothing of this file is run until all of it can be."
RAN_LATELY = "The same ran lately"
RAN_LATELY_MORE = "{runs} of {command} for {keys} in the last {minutes:g} min:"
TYPE_COUNT = "Type {count} to confirm"
TYPE_COUNT_FAULT = "is {count}, as it stands above"
BATCH_ALL_DONE = "All of them have ended."
ALL_COMMANDS = "All commands"
NOTHING_TO_RUN = "There is nothing to run yet."
RUN_QUEUED = "{count} on the way: a worker takes over."
OWN_KEY_HELP = "What it is about. Nothing: the payload says."
FILE_COLUMNS = "Its columns; what is optional may be left out:"
PREFILL_UNKNOWN = "The message to fill this in from was not found."
PREFILLED = "Filled in from {name} of {at} {zone}."
PREFILL_CUT = "That message is too large to fill a form from."

FAULT_REQUIRED = "is required"
FAULT_EMPTY = "is not empty"
FAULT_EMPTY_ITEM = "is empty: fill it in, or remove it"
FAULT_OBJECT = "is a JSON object"
FAULT_INTEGER = "is a whole number"
FAULT_NUMBER = "is a number"
FAULT_BOOLEAN = "is true or false"
FAULT_CHOICE = "is one of {}"
FAULT_DATE = "is a date such as 2026-01-31"
FAULT_TIME = "is a time such as 2026-01-31T14:05Z"
ROW_LENGTH = "has {} cells where the header names {} columns"
ROW_TWICE = "says the same as row {}"
FAULT_OTHER = "keeps the schema ({keyword})"
# By the keyword of JSON Schema: what a fault breaks, and what is said before it is broken.
FAULTS = {
    "type": "is of type {}",
    "minLength": "has at least {} characters",
    "maxLength": "has at most {} characters",
    "minimum": "is at least {}",
    "maximum": "is at most {}",
    "exclusiveMinimum": "is more than {}",
    "exclusiveMaximum": "is less than {}",
    "multipleOf": "is a multiple of {}",
    "pattern": "matches {}",
    "format": "is a valid {}",
    "enum": "is one of the choices",
    "minItems": "has at least {} items",
    "maxItems": "has at most {} items",
    "uniqueItems": "has no item twice",
    "additionalProperties": "has no other fields",
}
RULES = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matches {}",
    "format": "{}",
    "minItems": "items: at least {}",
    "maxItems": "items: at most {}",
}

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
    "acknowledge": "Say that a failure group has been seen, and that somebody is on it",
    "assign": "Give a failure group to a person",
    "resolve": "Say that a failure group's cause is mended",
    "reopen": "Open a failure group again",
    "note": "Write notes",
    "take duty": "Take over duty, and hand it over",
    "save view": "Save views for the team",
    "pause": "Pause a subscription",
    "resume": "Resume a subscription",
    "import": "Take over history from elsewhere",
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
ASK_AN_ADMIN = "ask an admin: they give roles on this page, or with: buslog people set-role"
PEOPLE = "People"
NOBODY_YET = "Nobody has logged in yet, or was given a role."
NEVER_SEEN = "never yet"
JUST_NOW = "just now"
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
    what = VERBS[verb]
    return f"It takes {_a(least)} to {what[0].lower()}{what[1:]}; you are {_a(role)}. An admin can change that."


def role_given(person: str, role: str) -> str:
    return f"The role of {person}: {role}."


def _a(role: Role) -> str:
    return f"a {role}" if role is Role.VIEWER else f"an {role}"


# ── Export ──────────────────────────────────────────────────────────────────────

EXPORT_TITLE = "All {rows} of this filter"
EXPORT_MORE = "Times are in UTC. That you take them is kept in the audit."
EXPORTS: dict[Format, tuple[str, str]] = {
    Format.CSV: ("CSV", "Commas, as other programs read it."),
    Format.EXCEL: ("Excel (Europe)", "Semicolons and accents as a European Excel opens them."),
    Format.PARQUET: ("Parquet", "Small and typed, for pandas, DuckDB and the like."),
}

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


def some(texts: Iterable[str]) -> str:
    """Such as: mail:send, mail:send and 2 more."""
    first, *others = [*texts] or [""]
    return f"{first} and {len(others)} more" if others else first


def short(subscription: str) -> str:
    """A subscription's id without its outer packages, for lists: freight.emails:send → emails:send."""
    module, colon, function = subscription.partition(":")
    return f"{module.rpartition('.')[2]}:{function}" if colon and " " not in module else subscription
