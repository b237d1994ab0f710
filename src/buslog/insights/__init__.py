"""What can be seen of the bus: list, counts, series, failures, messages and their threads.

Dashboard and CLI read through `Insights` alone. Reads that a Filter shapes are composed in `rows` and `aggregates`;
fixed ones are statements under sql/.
"""

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
    OperationDetail,
    Outside,
    Page,
    Point,
    Series,
    Subscriber,
    Tally,
    Thread,
    ThreadMessage,
)
from buslog.insights.people import Person
from buslog.insights.reads import PAYLOAD_SHOWN, THREAD_SHOWN, Insights
from buslog.insights.rows import Cursor

__all__ = [
    "PAYLOAD_SHOWN",
    "THREAD_SHOWN",
    "AttemptDetail",
    "Backlog",
    "Command",
    "CommandRun",
    "Count",
    "Cursor",
    "DeliveryDetail",
    "FailureGroup",
    "FailureGroups",
    "FailureSample",
    "GroupStatus",
    "Insights",
    "KnownName",
    "LastRuns",
    "LiveWorker",
    "LogRow",
    "MessageDetail",
    "OperationDetail",
    "Outside",
    "Page",
    "Person",
    "Point",
    "Series",
    "Subscriber",
    "Tally",
    "Thread",
    "ThreadMessage",
]
