"""All words of the screens that stand for something in the glossary, and what they look like, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from buslog.filter import Range
from buslog.insights import Series, Trouble
from buslog.message import Mode, State
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

OVERVIEW_LIVE = "Live"
OVERVIEW_LIVE_HELP = "Looks again every ten seconds."
OVERVIEW_NOT_LIVE = "Looked at again only when you ask: a chart of a week or more does not change while you watch."
OVERVIEW_IGNORES = (
    "Unfinished, commands: as they are now, whatever time is chosen. Duration: of all names. Workers: of the whole bus."
)
OVERVIEW_IGNORES_TIME = "as it is now, whatever time is chosen"
OVERVIEW_IGNORES_NAMES = "of all names: how long an attempt takes is kept by subscriber, not by name"
OVERVIEW_IGNORES_FILTER = "of the whole bus, whatever is chosen above"
OVERVIEW_NOTHING = "Nothing was emitted in this time."
OVERVIEW_NOTHING_LIKE_IT = "Nothing in this time matches this filter."
OVERVIEW_NOTHING_NEW = "No new failure since you last looked, {ago}."
OVERVIEW_NEW = "Since you last looked, {ago}: {new}."
CHART_NOTE = "By {bucket}, each where its message was emitted. Click a bar to see what is behind it."
CHART_PARTIAL = "Pale bars are cut by the time that is chosen, or not over yet."
CHART_OF_ROWS = "Bars count deliveries, as the list does."
CHART_WITHOUT_ERRORS = "Errors are left out: they are counted by name and subscriber, not by the state of a delivery."
CHART_RELEASES = "Dotted lines: the first worker with a new release of your code."


def chart_note(series: Series, bucket: str) -> str:
    """What a chart shows, and what it leaves out."""
    notes = (
        CHART_NOTE.format(bucket=bucket),
        CHART_PARTIAL,
        CHART_OF_ROWS if series.counts_rows else "",
        "" if series.knows_errors else CHART_WITHOUT_ERRORS,
    )
    return " ".join(filter(None, notes))


# ── Failures ────────────────────────────────────────────────────────────────────

# ── Log and filters ─────────────────────────────────────────────────────────────

# ── Message ─────────────────────────────────────────────────────────────────────

# ── Key ─────────────────────────────────────────────────────────────────────────

# ── Commands ────────────────────────────────────────────────────────────────────

# ── Subscribers ─────────────────────────────────────────────────────────────────

NO_SUBSCRIBERS = "No subscriber is registered yet."
NO_SUBSCRIBERS_HOW = '@bus.on("shipmentDeparted")\nasync def notify_customer(message): ...'
SUBSCRIBERS_NOTE = (
    "What is wrong comes first. Figures are of deliveries whose message was emitted {when}; what waits is as it is "
    "now. Failure rate: failed ÷ (succeeded + failed). Half of the last attempts stayed below p50, 95 of 100 below p95."
)
TROUBLES: dict[Trouble, str] = {
    Trouble.NONE: "✓ well",
    Trouble.FAILING: "✕ failures",
    Trouble.UNHOSTED: "◌ not hosted",
    Trouble.PAUSED: "‖ paused",
    Trouble.OUTAGE: "⚡ outage",
    Trouble.WAITING_FOR_NOBODY: "✕ stuck",
}
TROUBLE_TONES: dict[Trouble, str] = {
    Trouble.NONE: "#009E73",
    Trouble.FAILING: "#E69F00",
    Trouble.UNHOSTED: "#8A91A0",
    Trouble.PAUSED: "#8E7CC3",
    Trouble.OUTAGE: "#D55E00",
    Trouble.WAITING_FOR_NOBODY: "#D55E00",
}
OFF_THE_BUS = "It is off the bus: new messages do not reach it. What it was sent before stays, and can be cancelled."
NOBODY_HOSTS = (
    "No live worker hosts it. Start a worker that carries its code; if its code is gone, take it off the bus."
)
NOBODY_HOSTS_WAITING = "{waiting} until one does."
KEEPS_EMITS_WAITING = (
    "Publishers wait for it: each emit of {names} is held up for BUSLOG_SYNC_WAIT (30 s by default), because it is "
    "sync and nobody answers."
)
OUTAGE = "Its circuit has been open {since}: what it calls is held to be down, and one delivery at a time is tried."
PAUSED = "Paused {since}{by}{why}. Its deliveries wait; nobody claims them."
PAUSE_MEANS = "Nobody claims its deliveries until it is resumed. What runs goes on; what is emitted waits."
PAUSE_HOLDS_EMITS = "It is sync: each emit of its names waits up to BUSLOG_SYNC_WAIT (30 s by default) for it."
UNREGISTER_MEANS = (
    "New messages do not reach it, and no publisher waits for it. What it was sent before stays until somebody cancels "
    "it. A process that starts with its code puts it back."
)
WAS_SO_ALREADY = "It was so already: somebody was quicker."
UNREGISTER_NOT = {
    True: "A live worker hosts it: take it out of the code first.",
    False: "It is off the bus already.",
}
MODES = {
    Mode.ASYNC: "async: the publisher does not wait",
    Mode.SYNC: "sync: the publisher waits for it",
    Mode.SERIAL: "serial: one after the other, in order",
}


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
    "pause": "Pause a subscription",
    "resume": "Resume a subscription",
    "unregister": "Take a subscription off the bus",
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
