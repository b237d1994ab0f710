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

# ── Message ─────────────────────────────────────────────────────────────────────

# ── Key ─────────────────────────────────────────────────────────────────────────

# ── Commands ────────────────────────────────────────────────────────────────────

# ── Subscribers ─────────────────────────────────────────────────────────────────

# ── Replays ─────────────────────────────────────────────────────────────────────

# ── Audit ───────────────────────────────────────────────────────────────────────

AUDIT_HELP = "Who did what, when, why and to which."
NO_AUDIT_YET = "Nobody has done anything yet."
NO_AUDIT_YET_MORE = "Every replay, cancel, pause, command and look under a mask will stand here, and stays."
NO_AUDIT_MATCH = "No operation matches this filter."
NO_AUDIT_MATCH_MORE = "The filter is what leaves it empty."
NO_AUDIT_IN_TIME = "No operation in that time."
NO_AUDIT_IN_TIME_MORE = "There are some at another time."
NO_AUDIT_HERE = "Nothing more here: back to the newest"
AUDIT_ONLY_GROWS = "The audit only grows: nobody can change or delete a row of it."
AUDIT_EXPORT_HELP = "All rows of this filter. Taking them away is itself in the audit."
NO_SUCH_OPERATION = "Look for it in the audit."
THE_SAME_IN_A_TERMINAL = "The same from a terminal:"
NO_TERMINAL_LINE = "There is no command for it."
ANYBODY, ANYTHING = "Anybody", "Anything"
DENIED_LABEL, DONE_LABEL = "⊘ denied", "✓ done"
DENIED_HELP = "It was refused: the person's role did not allow it."
DENIED_ONLY = "Denied only"

# ── Masking and erasing ─────────────────────────────────────────────────────────

SOME_IS_MASKED = "••• stands for what is masked: {fields}."
IS_UNMASKED = "Unmasked for you, until you close this session. It is in the audit."
UNMASK = "Unmask"
UNMASK_HELP = "Show the masked values of this message to you. It is kept in the audit, with your reason."
UNMASK_MORE = "You alone will see them, of this message alone, until you close this session."
WHY, WHY_HELP = "Reason", "Kept in the audit"
REASON_IS_MISSING = "A reason is needed: it is kept in the audit."
LEAVE_IT = "Leave it"

DANGER = "Danger zone"
ERASE = "Erase {key}…"
ERASE_TITLE = "Erase all that is known of {key}"
ERASE_HELP = "Payloads, errors and results of all its messages go. There is no way back."
ERASE_MORE = (
    "Payloads, errors, results, refs and notes of these messages are overwritten. Ids, names, times, states and the "
    "audit stay. There is no way back, and backups from before keep what they have."
)
ERASE_CONFIRM = "Erase {messages}"
ERASE_TYPE = "Type the key to confirm: {key}"
ERASE_TYPED_WRONG = "What you typed is not the key, letter by letter."
ERASE_UNFINISHED = "{deliveries} not ended: cancel them first, in the Log."
ERASE_RUNS = "Stored run {runs} is going to send some of it: let it end, or stop it."
ERASE_NOTHING = "No message has this key."
ERASE_ALL_DONE = "All of its messages are erased."
ERASE_GOES_ON = "{erased} of them erased already: the rest goes on from there."
ERASED = "{messages} of {key} erased."
ERASED_LEFT = " {left} sent again meanwhile and stayed: erase once more when they have ended."

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


ON_DUTY = "On duty: {who}, for {time}"
NOBODY_ON_DUTY = "Nobody is on duty"
NOTE_FROM = "note of {who}, {ago}: {note}"
DUTY = "Duty"
DUTY_HELP = "Take the duty, or hand it over with a note."
DUTY_TAKE = "Take the duty"
DUTY_TAKE_MORE = "From now on you are the one to ask. {before}"
DUTY_BEFORE = "{who} is on duty now, and will no longer be."
DUTY_TAKEN = "You are on duty."
DUTY_HAND_OVER = "Hand over"
DUTY_NOTE = "Note to the next person"
DUTY_NOTE_HELP = "What is going on, and what to leave alone; or that all is quiet."
DUTY_NOTE_IS_MISSING = "Leave a note: what is going on, or that all is quiet."
DUTY_HANDED_OVER = "Handed over. Nobody is on duty until somebody takes it."
DUTY_EARLIER = "Earlier"

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
