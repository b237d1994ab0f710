"""What can be seen of the bus: list, counts, series, failures, messages and their threads.

Dashboard and CLI read through `Insights` alone. Reads that a Filter shapes are composed in `listing`, `aggregates` and
`rollup`, on the ground of `rows`, and kept as `statements`; fixed ones are statements under sql/.
"""

from buslog.insights.alerts import Alert, LastLook, Notice
from buslog.insights.audits import AuditCursor, AuditFilter, AuditPage, AuditRow
from buslog.insights.ends import Cursor
from buslog.insights.figures import Subscriber, Trouble
from buslog.insights.keys import KeyMessage, KeyNow, KeyPage, Waiting
from buslog.insights.model import (
    AttemptDetail,
    Backlog,
    Command,
    CommandRun,
    Count,
    DeliveryDetail,
    FailureGroup,
    FailureGroups,
    FailureSample,
    GroupStatus,
    KnownName,
    LastRuns,
    LiveWorker,
    LogRow,
    MessageDetail,
    Note,
    OperationDetail,
    Outside,
    Page,
    Point,
    SavedView,
    Series,
    Tally,
    ToErase,
    failure_rate,
)
from buslog.insights.overview import Overview, Release
from buslog.insights.people import Person
from buslog.insights.reads import PAYLOAD_SHOWN, Insights
from buslog.insights.runs import Item, ItemState, Run, RunSet, RunState, Verb
from buslog.insights.shifts import Shift
from buslog.insights.story import DeliveryRun, Done, Raised, Story
from buslog.insights.thread import Line, Thread, ThreadMessage
from buslog.insights.why import Cause, Reason

__all__ = [
    "PAYLOAD_SHOWN",
    "Alert",
    "AttemptDetail",
    "AuditCursor",
    "AuditFilter",
    "AuditPage",
    "AuditRow",
    "Backlog",
    "Cause",
    "Command",
    "CommandRun",
    "Count",
    "Cursor",
    "DeliveryDetail",
    "DeliveryRun",
    "Done",
    "FailureGroup",
    "FailureGroups",
    "FailureSample",
    "GroupStatus",
    "Insights",
    "Item",
    "ItemState",
    "KeyMessage",
    "KeyNow",
    "KeyPage",
    "KnownName",
    "LastLook",
    "LastRuns",
    "Line",
    "LiveWorker",
    "LogRow",
    "MessageDetail",
    "Note",
    "Notice",
    "OperationDetail",
    "Outside",
    "Overview",
    "Page",
    "Person",
    "Point",
    "Raised",
    "Reason",
    "Release",
    "Run",
    "RunSet",
    "RunState",
    "SavedView",
    "Series",
    "Shift",
    "Story",
    "Subscriber",
    "Tally",
    "Thread",
    "ThreadMessage",
    "ToErase",
    "Trouble",
    "Verb",
    "Waiting",
    "failure_rate",
]
