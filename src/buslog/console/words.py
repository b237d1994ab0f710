"""All words of the screens that stand for something in the glossary, and what they look like, in one place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from buslog.alerting.channels import EXAMPLE
from buslog.alerting.model import RuleKind
from buslog.console import clock
from buslog.export import Format
from buslog.filter import Range
from buslog.insights import Cause, Count, GroupStatus, ItemState, LogRow, Reason, RunState, Series, Trouble, Verb
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
NO_WORKER = "No worker is running: what is emitted waits."
NO_WORKER_HOW = "buslog worker module:bus"

# ── The frame, and what several pages share ─────────────────────────────────────

ALL_OPERATIONS = "All operations"
OPEN_MESSAGE = "Open the message"
AS_STORED = "As it is stored"
RUN_IT = "Run it"
ALL_FAILURES_LINK = "All failures"
ALL_RUNS = "All runs"
ALL_SUBSCRIBERS = "All subscribers"
FAILURES_BY_CAUSE = "Failures by cause"
LATEST_DELIVERIES = "Latest deliveries"
ALL_OF_THEM = "All of them"
NO_DELIVERY_IN_TIME = "No delivery of this time."
NEVER_SENT = "It was never sent anything."
TAKE_OFF = "Take off the bus"
KEPT_IN_AUDIT = "Kept in the audit"
NOT_GIVEN = "Not given"
LATEST_RUNS = "Latest runs"
THIS_RUN = "This run"
LIVE_MEANS = "A live worker hosts it."
NOT_LIVE = "no live worker"
ROLE_MEANS = "The least role of whoever runs it."
RUNS_NOT_WELL = "Runs that have not succeeded"
ALL_IN_LOG = "All of it in the Log"
THE_FAILED = "The failed ones"
RUN_FOR = "Run it for"
KEPT_WITH_OPERATION = "Kept in the audit"
CSV_FILE = "CSV file"
FIRST_ROWS = "The first rows of the file"
PAYLOAD_AS_JSON = "Payload, as JSON"
WRONG_ROWS = "What is wrong, row by row"
FIRST_RUNS = "The first runs"
NO_LIMIT = "No limit"
ONLY_THESE = "Only these subscribers, not the others of the same messages."
DATABASE_AWAY = "The database did not answer"
MAY_BE_DONE = "Nobody knows whether this was done"
TOOK_TOO_LONG = "This took too long to find out"
NOT_SET_UP = "Something is not set up yet"
CANNOT_BE_ASKED = "This cannot be looked for"
MAY_NOT_DO = "You may not do this"
NO_SUCH_THING = "There is no such thing"
NO_SUCH_COMMAND = "There is no such command"
CANNOT_BE_DONE = "That cannot be done"
NOT_SHOWN = ":material/error: **This page could not be shown**"
OPEN_FILTER_IN_LOG = "Open this filter in the Log"
OVERVIEW_HELP = "How the bus is doing: throughput, errors, failures, workers."
FAILURES_HELP = "What waits for a person: find it, understand it, replay it."
LOG_HELP = "Every message and delivery, filtered and exported."
KEY_HELP = "The whole story of one key, and what of it waits now."
COMMANDS_HELP = "Run a command by hand and see its result."
SUBSCRIBERS_HELP = "Who reacts to what, how well, and who is paused."
REPLAYS_HELP = "What was replayed, run or cancelled in bulk: progress, undo, stop."
FOOTER = "Times in {zone} · acting as {who} · {where}"
FAILED_AS_OF = "{count} failed · as of {moment}"
NO_FAILURES_IN = "No failures {phrase}."
WELL_IN = "No failures {phrase}. Nice work."
KEY_OR_ID = "{field} or message id"
ADD_TO, AS_JSON = "Add to {field}", "{label}, as JSON"
FIRST_OF, FAULTS_SHOWN = "{rows}; the first ones:", "The first {count} are shown."
NONE_SENT, LEFT_OUT_WHY = "{count} left out, none sent.", "{count} left out: they {why}."
SUPERSEDED_THEN = "{told} when it was made."
THAT_RAISED = "{attempts} that raised"
NOT_SHOWN_MORE = "It is our fault, not yours. Reference {reference}: the dashboard's log says more."

SHORTCUTS_TITLE = "Shortcuts"
SHORTCUTS_MORE = "They work where nobody types. None of them sends or ends anything by itself."
SHORTCUTS = {
    "REFRESH": "Look again",
    "NEW_ROWS": "Show what is new",
    "NEWEST": "To the newest",
    "NEWER": "A page newer",
    "OLDER": "A page older",
    "ACKNOWLEDGE": "Acknowledge the cause that is open",
    "REPLAY": "Ask about a replay of what is selected",
    "HELP": "These keys",
}

# ── Overview ────────────────────────────────────────────────────────────────────

OVERVIEW_LIVE = "Live"
OVERVIEW_LIVE_HELP = "Looks again every ten seconds."
OVERVIEW_NOT_LIVE = "Looked at again only when you ask: a chart of a week or more does not change while you watch."
OVER_TIME_OF = "{what} over time"
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

GROUP_STATUSES: dict[GroupStatus, Look] = {
    GroupStatus.OPEN: Look("●", "red", "#D55E00", "Nobody has taken it on yet."),
    GroupStatus.ACKNOWLEDGED: Look("◐", "orange", "#B7791F", "It has been seen, and somebody is on it."),
    GroupStatus.RESOLVED: Look("✓", "green", "#009E73", "Its cause is mended; it opens by itself when it fails again."),
}
FAILURES = "Failures"
CAUSES_SHOWN = "Show"
ALL_CAUSES, DELIVERIES = "All causes", "Deliveries"
OPEN_SUBSCRIBER = "Open"
OPEN_GROUP = "Show"  # a status is called open
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
SHOW_ALL_CAUSES, SHOW_ALL, SHOW_ALL_FAILURES = "Show all causes", "Show all", "Show all failures"
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


def status_label(status: GroupStatus) -> str:
    """Mark and word: ● open."""
    return f"{GROUP_STATUSES[status].mark} {status}"


def only_largest(shown: int, of: int) -> str:
    return f"The {shown} largest of {of:,}: narrow the filter to see others."


def elsewhere(by_status: Mapping[GroupStatus, int]) -> str:
    """Such as: 2 acknowledged, 1 resolved."""
    return ", ".join(f"{by_status[status]:,} {status}" for status in GroupStatus if by_status.get(status))


def trend(counts: Sequence[int], *, is_hourly: bool) -> str:
    return f"{sum(counts):,} failed in the last {'24 hours' if is_hourly else '30 days'}"


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
CHIPS = {
    "find": "find", "subscription": "subscriber", "error_type": "error", "error_text": "error text",
    "group": "cause", "raised": "errors", "ended_since": "ended since", "correlation": "thread",
    "payload": "payload",
}  # fmt: skip
NAME, SUBSCRIBER, TIME, AT_LEAST_ONE = "Name", "Subscriber", "Time", "at least one"
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
RENAME, DELETE = "Rename", "Delete"
SAVED, RENAMED, DELETED = "Saved as {name}.", "Renamed to {name}.", "{name} is deleted."

NEW_ROWS = "{count} new: show"
NEWEST, NEWER, OLDER, REFRESH = "Newest", "Newer", "Older", "Refresh"
EXPORT_CSV = "Export CSV"
OVER_TIME = "Over time"
ROWS_CAPPED = "{rows} rows: a delivery each, or a message without one."
ROWS_BEING_COUNTED = "Counting rows …"
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
OPEN_ROW = "Open"
SORTS_THESE = "Sorts the rows of this page"

ALL_ROWS = "all rows of this filter"


def replays(row: LogRow) -> str:
    """How often people have sent it again, and what came of it last. Of a cancelled one nobody can tell."""
    times = (row.generation or 1) - 1
    if times < 1 or row.state is State.CANCELLED:
        return ""
    said = REPLAYED if times > 1 else REPLAYED_ONCE
    return said.format(times=times, outcome=REPLAY_OUTCOMES.get(row.state, row.state))


# ── Message ─────────────────────────────────────────────────────────────────────

MESSAGE = "Message"
MESSAGE_PAYLOAD_CUT = "The first 64 kB of {bytes:,} bytes. The file has all of it."
MESSAGE_PAYLOAD_LONG = "Show {lines:,} lines"
MESSAGE_PAYLOAD_FILE = "Download payload"
MESSAGE_NO_KEY = "without a key"
MESSAGE_NO_ID = "Open a message from the Log, or from the page of its key."
MESSAGE_NOBODY = "Nobody subscribed to it."
MESSAGE_IMPORTED = "Imported: it was never executed here."
WHY: dict[Reason, str] = {
    Reason.OFF_THE_BUS: "Its subscriber was taken off the bus, and no live worker carries its code.",
    Reason.NO_WORKER: "No live worker hosts this subscriber: start one that carries its code.",
    Reason.PAUSED: "Its subscriber is paused, since {at}{by}{note}",
    Reason.OUTAGE: "What its subscriber calls is down, since {at}. One delivery at a time is tried; the next probe is"
    " due {until}. No attempt is charged meanwhile.",
    Reason.CONCURRENCY: "Its subscriber runs {number} of at most {limit} at once: it starts when one of them ends.",
    Reason.RATE: "Its subscriber's rate ({limit} starts in {seconds} s) is used up: the next start is {until}.",
    Reason.ALONE: "Workers were lost while they ran it: it runs alone, when a worker has let its other work end.",
    Reason.QUEUE: "It is due. {number} of this subscriber {are} before it.",
    Reason.NEXT: "It is due, and the next of its subscriber: it starts when a worker has a place free.",
    Reason.CHAIN: "It waits for {subscription}, which comes before it in this message",
    Reason.KEY: "It waits behind another delivery of {key} ({name}{others})",
    Reason.ARRIVING: "It waits for its place among the deliveries of {key}: a worker's next look gives it.",
    Reason.SCHEDULED: "It is for later: due {until}.",
    Reason.RETRYING: "Attempt {number}{of} ended{error}. The next one is due {until}.",
    Reason.OVERDUE: "It was due at {at}: a worker's next look takes it up.",
    Reason.RUNNING: "{worker} is at it, since {at}.",
    Reason.LOST: "{worker} had it and is gone: another worker takes it back with its next look.",
}
WHY_HOLDER_FAILED = "That one failed: it holds all behind it until somebody replays or cancels it."
WHY_HOLDER_GONE = "It waits for its turn: what was before it has just ended."
MOST_COUNTED = 1000
MESSAGE_LOOK_AT_HOLDER = "Look at that one"
MESSAGE_SENT_AGAIN = "sent again"
MESSAGE_SENT_AGAIN_MORE = "A person sent it again after it had succeeded."
OUTCOMES_IN_SHORT = {State.SUCCEEDED: "last ok", State.FAILED: "last failed", State.CANCELLED: "cancelled"}
OPEN_KEY = "All of {key}"
OPEN_IT = "Open it"
OPEN_OUTSIDE = "Open {key} outside ↗"

THREAD_OF_ONE = "This message caused nothing, and nothing caused it."
THREAD_LEFT_OUT = "{count} more"
THREAD_READ_SO = (
    "Where the thread is too large, the messages next to this one are shown. A line with a number opens its part."
)
THREAD_CAPPED = "Only its first {count} messages were read: what is counted here is counted among them."
THREAD_TROUBLES = "Not well in this thread:"
THREAD_TROUBLES_CAPPED = "and more"
THREAD_ELSEWHERE = "You are looking at another part of the thread."
THREAD_BACK = "Back to this message"
THREAD_FOLDED = "Deliveries that succeeded at once are told in the line of their message."
THREAD_SCALE = "Bars are to scale: pale while it waited, full while it ran."
THREAD_MORE_ATTEMPTS = "{count} more on the page of the message"
THREAD_MORE_ABOVE = "{count} more in its delivery, above"
THREAD_ALT = "{subscription}: {state}; waited {waited}, ran {ran}"

TICKET = "Copy for ticket"
TICKET_MORE = "For a ticket or a chat: what happened and where to look. The payload is not in it."
TICKET_HEADING = "{kind} {name}"

EDIT = "Edit & re-emit"
EDIT_MORE = "Emits the message once more with another payload, linked to this one. This one stays as it is."
EDIT_MASKED = "Some of its payload is masked: a copy would carry the masks. An admin can unmask it."
EDIT_TOO_LARGE = "Its payload is above 64 kB: download it, and emit it with `buslog emit`."
EDIT_BY_FIELD, EDIT_AS_JSON = "Fields", "JSON"
EDIT_NOT_CHANGED = "Nothing is changed yet."
EDIT_CHANGES = "What is different"
EDIT_PATH, EDIT_OLD, EDIT_NEW = "Field", "Was", "Will be"
EDIT_NOTHING = "not there"
EDIT_TO_ALL = "All who subscribe to {name} get the new message"
EDIT_ALSO = "also those for whom this one succeeded: {subscriptions}. They run again."
EDIT_SEND = "Emit the edited message"
EDIT_LEAVE = "Leave it"
EDIT_DONE = "Emitted as a new message. It is in the thread below."
EDIT_WHY_NOT = {"fault": "Correct the payload first.", "same": "Change something first."}
EDIT_NUMBER = "is a number"
EDIT_HOW = "How to edit"
EDIT_NO_JSON = "This is not JSON"
EDIT_NO_OBJECT = "A payload is a JSON object: { … }"
EDIT_EMPTY = "Edit it as JSON to put something else here."
EDITED_FROM = "{actor} edited an older message and emitted it as this one{why}."
OPEN_ORIGINAL = "Open the older one"

NOTES = "Notes"
NOTES_LABEL = "Write a note"
NOTES_HINT = "What the next person should know"
NOTES_ADD = "Add note"
NOTES_DONE = "Note added."

OPERATIONS = "What people did"
REASON_LABEL = "Reason · optional"
REASON_HINT = "Kept in the audit"

# ── Key ─────────────────────────────────────────────────────────────────────────

KEY = "Key"
KEY_SEARCH = "Type a {field}"
KEY_ASK = "Whose story?"
KEY_ASK_MORE = "Type a {field} above, exactly as it stands in the payloads."
IN_THE_LOG, ALL_OF_KEY = "In the Log", "all rows of this key"
KEY_IS_A_REF = "No key, but a ref or an id of {messages}: show in the Log"
KEY_NOTHING_MORE = "Nothing more here: back to the oldest"
KEY_UNKNOWN = "No message has this {field}."
KEY_DID_YOU_MEAN = "Did you mean"
KEY_NOTHING_LIKE = "Nothing is spelled like it either. Look in the Log for what was emitted."
KEY_WELL = "Nothing of it failed or waits."
KEY_NOW = "Now: {counts}"
KEY_NOW_LISTED = "The first {shown} of {count}."
KEY_COMMANDS = "Do something for it"
KEY_STORY = "Story"
KEY_STORY_MORE = "Oldest first. What went well at once stands in the line of its message."
KEY_OLDEST, KEY_OLDER, KEY_NEWER, KEY_NEWEST = "Oldest", "Older", "Newer", "Newest"
KEY_OF_MESSAGES = "{count} in all"
KEY_DONE = {
    "replay": "replayed",
    "run now": "made due now",
    "cancel": "cancelled",
    "run": "ran it by hand",
    "emit": "emitted it by hand",
    "emit edited": "emitted an edited copy",
    "note": "wrote a note",
}
KEY_ATTEMPT = "attempt {number} raised"
KEY_IS_NOW = "now"
KEY_SINCE_REPLAY = "after a replay"

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
TYPE_COUNT = "Type {number} to confirm"
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
RESUME_MEANS, RESUMED = "Waiting for it: {waiting}.", "{subscription} goes on."
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

RUN_STATES: dict[RunState, Look] = {
    RunState.PREVIEWED: Look("○", "gray", "#8A91A0", "It was looked at, and not started."),
    RunState.WAITING: Look("◷", "violet", "#8E7CC3", "It can still be undone: nothing is sent yet."),
    RunState.CANARY: Look("▷", "blue", "#0072B2", "The first few are tried; the rest goes on only if they succeed."),
    RunState.RUNNING: Look("▶", "blue", "#0072B2", "Workers send the rest."),
    RunState.STOPPED: Look("■", "orange", "#E69F00", "Nothing more of it is sent."),
    RunState.ENDED: Look("✓", "green", "#009E73", "All of it is settled."),
}
ITEM_STATES: dict[ItemState, Look] = {
    ItemState.FAILED_AGAIN: Look("✕", "red", "#D55E00", "Sent, and failed once more."),
    ItemState.SKIPPED: Look("↷", "gray", "#8A91A0", "Left out: its reason stands beside it."),
    ItemState.CANCELLED: Look("–", "gray", "#8A91A0", "A person ended it."),
    ItemState.SENT: Look("▶", "blue", "#56B4E9", "Sent; its outcome is not known yet."),
    ItemState.WAITING: Look("○", "blue", "#8E7CC3", "Not sent yet."),
    ItemState.SUCCEEDED: Look("✓", "green", "#009E73", "The subscriber has done its work."),
}
NOT_SENT = Look("■", "gray", "#8A91A0", "The run was stopped before it was sent.")  # what waits in a stopped run
RUN_VERBS: dict[Verb, str] = {Verb.REPLAY: "Replay", Verb.RUN_NOW: "Run now", Verb.CANCEL: "Cancel"}
VERB_ICONS: dict[Verb, str] = {
    Verb.REPLAY: ":material/replay:", Verb.RUN_NOW: ":material/bolt:", Verb.CANCEL: ":material/block:",
}  # fmt: skip
VERB_MEANINGS: dict[Verb, str] = {
    Verb.REPLAY: "Each is sent again, to its own subscriber alone. What was stays as its history.",
    Verb.RUN_NOW: "Each is made due at once, and charged no extra attempt.",
    Verb.CANCEL: "Each ends as cancelled: it leaves Failures and stays in the Log.",
}
SCOPES: dict[Verb, str] = {
    Verb.REPLAY: "that {states}", Verb.RUN_NOW: "that wait for a time", Verb.CANCEL: "that are open or have failed",
}  # fmt: skip
NOTHING_FITS: dict[Verb, str] = {
    Verb.REPLAY: "This filter finds none that failed. What was cancelled, or has succeeded, is replayed only where the "
    "filter asks for that state.",
    Verb.RUN_NOW: "This filter finds none that is retrying or scheduled.",
    Verb.CANCEL: "This filter finds none that is open or has failed.",
}
ALL_MATCHING = "Replay, run now or cancel all that match this filter"
ALL_MATCHING_OF_KEY = "Replay, run now or cancel all of {key}"
ALL_MATCHING_OF_CAUSES = "{label}, also of causes that are not shown here: {others}"
ALL_MATCHING_HOW = "Not only what is on this page. You see first what would happen."
SELECT_FIRST = "Select deliveries with the boxes at their left."
NOT_THESE = "None of the selected ones can be: {why}"
FROZEN = "These deliveries as they are now. What fails later is not among them."
CAPPED = "The filter finds more than a run takes. These are the oldest {number:,}; run the rest afterwards."
NOTHING_TO_SEND = "There is nothing to send: all of it is left out."
LEFT_OUT = "{number} left out"
SKIPPED_WHY: dict[str, str] = {
    "already succeeded": "have succeeded",
    "cancelled": "were cancelled",
    "cancelled meanwhile": "were cancelled meanwhile",
    "failed": "have failed",
    "failed meanwhile": "were sent and failed meanwhile",
    "in flight": "are under way, or wait to run",
    "no live worker hosts it": "nobody would run them: no live worker hosts their subscriber",
    "superseded": "are superseded",
    "erased": "are erased: there is nothing left to send",
    "moved on": "have moved on since",
    "gone": "are gone",
}
UNSAFE_WHY = "are unsafe to replay: “{why}”. Replay them one by one, on their messages' pages"
SUPERSEDED = "{number} superseded"
SUPERSEDED_WHY = (
    "A newer message of the same name and {key} has succeeded with the same subscriber since. Sending the old one now "
    "may undo what the newer one did."
)
SUPERSEDED_UNKNOWN = "Whether newer messages have overtaken some of them could not be found out in time."
SUPERSEDED_LEAVE = "Leave out what is superseded"
CAUSED = "What they caused until now"
CAUSED_WHY = "Their messages led to these. Sending them again may lead to the same once more."
CAUSED_NOTHING = "Nothing: none of their messages has led to another one."
CAUSED_UNKNOWN = "It could not be found out in time."
SENT_AGAIN = "{number} of them have succeeded already. Whatever their subscriber does, such as mails, it does again."
SENT_AGAIN_SURE = "Yes, send again what has succeeded"
CANARY_FIELD = "Try first"
CANARY_HELP = "So many are sent first. The rest goes on by itself if all of them succeed; if not, the run stops."
RATE_FIELD = "At most a second"
RATE_HELP = "So many are sent in a second. Empty: as fast as the subscribers' own limits allow."
UNDO_FIELD = "Undo, seconds"
UNDO_HELP = "For so long nothing is sent, and all of it can be taken back."
RUN_REASON = "Reason"
RUN_REASON_OPTIONAL = "Reason · optional"
RUN_REASON_KEPT = "Kept in the audit"
RUN_REASON_MISSING = "is required: say why, for whoever reads this later"
TYPE_COUNT_FIELD = "The number"
TYPE_COUNT_WRONG = "is to be typed as it stands: {number}"
SURE_MISSING = "is to be ticked"
NO_RUNS = "Nothing was replayed, run or cancelled in bulk yet."
NO_RUNS_MORE = "Select failures, or take all that match a filter, and the run shows here."
NO_MORE_RUNS = "No older runs."
RUN_PICKED = "picked by hand from: {filter}"
RUN_AGAIN_OF = "what failed again in run {run}"
RUN_REST_OF = "what run {run} did not send"
RUN_UNDONE = "Undone before anything was sent."
RUN_BEGINS = "It begins in {left}. Until then all of it can be undone."
RUN_BEGINS_NOW = "It is about to begin."
RUN_NO_WORKER = "No worker is running: the run waits until one does."
RUN_CANARY = (
    "Tried first: {number}. If all of them succeed, the other {rest} follow by themselves; if not, the run stops."
)
RUN_CANARY_WAITS = "{succeeded} of these succeeded so far, {open} not settled yet."
RUN_RUNNING = "{waiting} to be sent yet, {sent} sent and not settled."
RUN_STOPPED = "Stopped: {why}. {waiting} not sent: they stand where they stood."
RUN_STILL = "{sent} that were sent before are still being followed."
RUN_ENDED = "All of it is settled."
RUN_UNSTARTED = "It was looked at, and never started. Nothing was sent."
RUN_STAYS = "Workers carry it on: this page may be closed."
STOP_TITLE = "Stop this run?"
STOP_WHY = "Nothing more of it is sent. What was sent already goes on."
STOP = "Stop the run"
KEEP_GOING = "Let it go on"
UNDO = "Undo"
UNDO_WHY = "Nothing of it was sent yet: all of it is taken back."
REPLAY_AGAIN = "Replay the {number} that failed again…"
SEND_REST = "{verb} the {number} not sent…"
ITEMS_NONE = "No delivery of this run is {state}."
ALL_ITEMS = "all"
SINGLE_AGAIN = "It has succeeded. Its subscriber would do its work once more, such as sending a mail."
SINGLE_UNSAFE = "Its author says that it is unsafe to replay: “{why}”."
SINGLE_SURE = "I have read this"
SINGLE_SEND = "Send it again"
SINGLE_CANCEL = "It leaves Failures and stays in the Log, as cancelled."
SINGLE_CANCEL_SEND = "Cancel it"
DONE: dict[str, tuple[str, str]] = {  # one, many: a replay has only been sent on its way when this is said
    "replay": ("waits to run again", "wait to run again"),
    "run now": ("is due now", "are due now"),
    "cancel": ("is cancelled", "are cancelled"),
}

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
NO_TERMINAL_LINE = "There is no command for it."
ANYBODY, ANYTHING = "Anybody", "Anything"
DENIED_LABEL, DONE_LABEL = "⊘ denied", "✓ done"
DENIED_TONE = "#D55E00"
DENIED_HELP = "It was refused: the person's role did not allow it."
DENIED_ONLY = "Denied only"

# ── Masking and erasing ─────────────────────────────────────────────────────────

SOME_IS_MASKED = "••• stands for what is masked: {fields}."
IS_UNMASKED = "Unmasked for you, until you close this session. It is in the audit."
UNMASK = "Unmask"
UNMASK_HELP = "Show the masked values of this message to you. It is kept in the audit, with your reason."
UNMASK_MORE = "You alone will see them, of this message alone, until you close this session."
ITS_REASON, ITS_REASON_HINT = "Reason", "Kept in the audit"
REASON_IS_MISSING = "A reason is needed: it is kept in the audit."

DANGER = "Danger zone"
ERASE = "Erase {key}…"
ERASE_TITLE = "Erase all that is known of {key}"
ERASE_HELP = "Payloads, errors and results of all its messages go. There is no way back."
ERASE_MORE = (
    "Payloads, errors, results, refs and notes of these messages are overwritten. Saved views that ask for it go, and "
    "alerts no longer name it. Ids, names, times, states and the audit stay. There is no way back, and backups from "
    "before keep what they have."
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
NO_SUCH_PAGE = "There is no such page."
NO_SUCH_PAGE_MORE = "The address leads nowhere: look for what you want from one of these."
NO_SUCH_PAGE_LINKS = {"/": "Overview", "/failures": "Failures", "/log": "Log"}
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
    "log in": "Log in",
    "log out": "Log out",
    "look": "See every page, message and figure",
    "export": "Take a file of the log away",
    "emit": "Emit a message by hand",
    "emit edited": "Emit an edited copy of a message",
    "run": "Run a command",
    "replay": "Replay a delivery",
    "run now": "Make a waiting delivery due at once",
    "cancel": "Cancel a delivery",
    "preview": "Preview what a stored run would do",
    "replay many": "Start a replay of many",
    "run now many": "Start a run now of many",
    "cancel many": "Start a cancel of many",
    "stop": "Stop a stored run",
    "acknowledge": "Say that a cause of failures has been seen",
    "assign": "Give a cause of failures to a person",
    "resolve": "Say that a cause of failures is mended",
    "reopen": "Open a cause of failures again",
    "note": "Write notes",
    "take duty": "Take over duty, and hand it over",
    "save view": "Save views for the team",
    "rename view": "Give a view of one's own another name",
    "delete view": "Delete a view of one's own",
    "pause": "Pause a subscription",
    "resume": "Resume a subscription",
    "unregister": "Take a subscription off the bus",
    "import": "Take over history from elsewhere",
    "refs backfill": "Look through the log for refs",
    "unmask": "See masked fields",
    "erase": "Erase what is kept about a key",
    "set role": "Give roles to people",
    "set alert": "Change the alert rules",
    "remove alert": "Remove an alert rule",
    "test alert": "Send a test to an alert channel",
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

EXPORT_TITLE = "All {rows} of this filter"
EXPORT_MORE = "Times are in UTC. That you take them is kept in the audit."
EXPORTS: dict[Format, tuple[str, str]] = {
    Format.CSV: ("CSV", "Commas, as other programs read it."),
    Format.EXCEL: ("Excel (Europe)", "Semicolons and accents as a European Excel opens them."),
    Format.PARQUET: ("Parquet", "Small and typed, for pandas, DuckDB and the like."),
}

# ── Alerts ──────────────────────────────────────────────────────────────────────

ALERTS = "Alerts"
ALERT_RULE = "Alert rule"
HISTORY, HISTORY_OF = "History", "History of {rule}"
ALERTS_HELP = "Who is told when something is wrong, and what was told."
ALERT_NEW, ALERT_NEW_TITLE = "New rule", "New alert rule"
ALERT_NEW_HELP = "Who is told, of what, and when not."
ALERT_EDIT, ALERT_REMOVE, ALERT_OFF, ALERT_ON = "Edit", "Remove", "Switch off", "Switch on"
ALERT_SEE = "Show it"
ALERT_HISTORY, ALERT_ALL_HISTORY = "Its history", "History of all rules"
ALERT_KINDS: dict[RuleKind, tuple[str, str]] = {  # title, and what it tells
    RuleKind.FAILURE_RATE: ("Failure rate", "So many of the deliveries that end, end failed."),
    RuleKind.BACKLOG_AGE: ("Backlog age", "A delivery that is due has been waiting for a worker for so long."),
    RuleKind.NEW_GROUP: (
        "New cause of failures",
        "A delivery failed for a cause that was not seen before, or not for long.",
    ),
    RuleKind.NO_WORKER: ("No live worker", "Nobody has run any subscriber, or this one, for so long."),
}
ALERT_FIRING, ALERT_WELL, ALERT_IS_OFF, ALERT_UNSEEN = "✕ firing", "✓ well", "○ switched off", "… not looked at yet"
ALERT_OVER = "✓ over"
ALERT_NOW, ALERT_LAST, ALERT_NEVER, ALERT_CHANNELS = "Now", "Last fired", "never", "Told to"
ALERT_QUIET, ALERT_REMIND = "Quiet hours", "Told again"
ALERT_TO_NOBODY = "nobody: its history is here alone"
ALERT_ONCE = "once"
ALERT_NOTHING_ENDED = "nothing ended"
ALERT_SHARE = "{share} failed"
ALERT_TOO_FEW = "{told}, with fewer than {failures}"
ALERT_COUNTED = "{told}, counted for {time} so far"
ALERT_NOTHING_WAITS = "nothing waits"
ALERT_ALL_SUBSCRIBERS = "All subscribers"

NO_ALERT_RULES = "No alert rule yet: nobody is told when something is wrong."
NO_ALERT_RULES_MORE = "A good first one: no live worker, for a minute."
NO_ALERTS_YET = "Nothing has fired yet."
NO_ALERTS_OF_RULE = "This rule has not fired yet."
NO_OLDER_ALERTS = "No older alerts."
NOBODY_LOOKS = "Nobody looks at the rules."
NOBODY_LOOKS_MORE = "Workers (buslog worker) and dashboards (buslog dashboard) do; the last look was {ago}."
LOOKED_AT = "Looked at {ago} by {by}, in {took}."
CHANNELS_HERE = "Channels of this server"
CHANNEL_TEST = "Send a test"
CHANNEL_TESTED = "✓ {channel} took a test at {time}."
NO_CHANNELS = "This server knows no channel."
NO_CHANNELS_MORE = "Channels are set where the server and the workers are started, since their addresses are secrets:"
NO_CHANNELS_HOW = f"BUSLOG_ALERT_CHANNELS='{EXAMPLE}'"
NO_DASHBOARD_URL = "Alerts have no links: BUSLOG_DASHBOARD_URL is not set here."

NOTICE_OCCASIONS = {"fired": "that it fires", "again": "that it still fires", "resolved": "that it is over"}
NOTICE_SENT = "✓ {channel} was told {what} at {time}"
NOTICE_WAITING = "… {channel} is to be told {what}"
NOTICE_RETRIED = "↻ {channel} was not told {what}: {error} ({tries}); next try {until}"
NOTICE_HELD = "◷ {channel} is told {what} when the quiet hours end, at {time}"
NOTICE_SUPPRESSED = "– {channel} was not told {what}: it was over before"
NOTICE_GIVEN_UP = "✕ {channel} was not told {what}: {error}; given up after {tries}"
NOTICE_UNKNOWN = "✕ {channel} was not told {what}: no running process knows this channel"

ALERT_NAME, ALERT_KIND, ALERT_SUBSCRIBER = "Name", "What", "Subscriber"
ALERT_PERCENT, ALERT_MINUTES, ALERT_SECONDS = (
    "From this share on, in %",
    "From so many minutes on",
    "From so many seconds on",
)
ALERT_WINDOW, ALERT_UNSEEN_FOR = "Within", "New, when not seen for"
ALERT_AT_LEAST = "With at least so many failures"
ALERT_TO = "Channels"
ALERT_TO_NOBODY_YET = "Nobody is told: choose a channel, or type its name"
ALERT_TO_HELP = "Names in BUSLOG_ALERT_CHANNELS; type one that only a worker knows."
ALERT_HAS_QUIET, ALERT_QUIET_HELP = "Quiet hours", "What fires then is told when they end, if it still lasts."
ALERT_FROM, ALERT_UNTIL, ALERT_ZONE = "From", "Until", "On the clocks of"
ALERT_AGAIN = "Told again while it lasts"
ALERT_AGAIN_NEVER = "Never"
ALERT_SAVE, ALERT_LEAVE = "Save the rule", "Leave it"
ALERT_SAVED, ALERT_REMOVED = "The rule {name} is saved.", "The rule {name} is removed."
ALERT_SWITCHED_OFF, ALERT_SWITCHED_ON = "The rule {name} is switched off.", "The rule {name} is switched on."
ALERT_REMOVE_TITLE = "Remove this rule?"
ALERT_REMOVE_MORE = "What it found stays in the history. To keep the rule for later, switch it off instead."

# ── Functions ───────────────────────────────────────────────────────────────────


def because(cause: Cause) -> str:
    """Why a delivery has not run, in a sentence."""
    if cause.reason in {Reason.CHAIN, Reason.KEY}:
        return _behind(cause)
    more = " or more" if cause.number >= MOST_COUNTED else ""
    return WHY[cause.reason].format(
        at=_at(cause.at), until=_due(cause.until), seconds=f"{cause.seconds:g}", limit=f"{cause.limit:,}",
        number=f"{cause.number:,}{more}", are="is" if cause.number == 1 else "are",
        by=f" by {cause.actor}" if cause.actor else "", note=f": “{cause.note}”" if cause.note else ".",
        worker=cause.worker or "A worker", key=cause.key, of=f" of {cause.limit}" if cause.limit else "",
        error=f" with {cause.error_type}" if cause.error_type else "",
    )  # fmt: skip


def _behind(cause: Cause) -> str:
    holder = cause.holder
    if holder is None:
        return WHY_HOLDER_GONE
    others = f", with {plural(cause.number, 'other')} in between" if cause.number else ""
    waits = WHY[cause.reason].format(
        subscription=short(holder.subscription), key=cause.key, name=holder.name, others=others
    )
    return f"{waits}. {WHY_HOLDER_FAILED if holder.state is State.FAILED else f'That one is {holder.state}.'}"


def replayed(times: int, state: State) -> str:
    """Such as: replayed ×2 · last ok."""
    last = OUTCOMES_IN_SHORT.get(state)
    return ("replayed once" if times == 1 else f"replayed ×{times}") + (f" · {last}" if last else "")


def _at(moment: datetime | None) -> str:
    return f"{clock.stamp(moment)} {clock.zone()}"


def _due(moment: datetime | None) -> str:
    return f"{clock.until(moment)}, at {_at(moment)}" if moment else "soon"


def label(state: State) -> str:
    """Mark and word: ✕ failed."""
    return f"{STATES[state].mark} {state}"


def item_look(state: ItemState, *, is_stopped: bool) -> Look:
    """Of a run's item: what waits in a stopped run is not going to be sent."""
    return NOT_SENT if is_stopped and state is ItemState.WAITING else ITEM_STATES[state]


def item_label(state: ItemState, *, is_stopped: bool) -> str:
    """Mark and word of a run's item."""
    look = item_look(state, is_stopped=is_stopped)
    return f"{look.mark} {'not sent' if look is NOT_SENT else state}"


def of_the_last(failed: int, count: int) -> str:
    return f"{failed} of the last {count} failed" if failed else f"None of the last {count} failed"


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
