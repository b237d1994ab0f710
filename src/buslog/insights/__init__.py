"""What can be seen of the bus: list, counts, series, failures, messages and their threads.

Dashboard and CLI read through `Insights` alone. Reads that a Filter shapes are composed in `rows` and `aggregates`;
fixed ones are statements under sql/.
"""

from buslog.insights.audits import AuditCursor, AuditFilter, AuditPage, AuditRow
from buslog.insights.model import (
    AttemptDetail,
    Backlog,
    Command,
    CommandRun,
    Count,
    DeliveryDetail,
    FailureGroup,
    KnownName,
    LiveWorker,
    LogRow,
    MessageDetail,
    OperationDetail,
    Outside,
    Page,
    Point,
    Series,
    Subscriber,
    Tally,
    Thread,
    ThreadMessage,
    ToErase,
)
from buslog.insights.people import Person
from buslog.insights.reads import PAYLOAD_SHOWN, THREAD_SHOWN, Insights
from buslog.insights.rows import Cursor
from buslog.insights.shifts import Shift

__all__ = [
    "PAYLOAD_SHOWN",
    "THREAD_SHOWN",
    "AttemptDetail",
    "AuditCursor",
    "AuditFilter",
    "AuditPage",
    "AuditRow",
    "Backlog",
    "Command",
    "CommandRun",
    "Count",
    "Cursor",
    "DeliveryDetail",
    "FailureGroup",
    "Insights",
    "KnownName",
    "LiveWorker",
    "LogRow",
    "MessageDetail",
    "OperationDetail",
    "Outside",
    "Page",
    "Person",
    "Point",
    "Series",
    "Shift",
    "Subscriber",
    "Tally",
    "Thread",
    "ThreadMessage",
    "ToErase",
]
