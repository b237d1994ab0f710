"""buslog: an event bus with a memory, and the control room over it."""

from buslog.bus import Bus
from buslog.emission import Emission
from buslog.errors import BuslogError, StillPending, SubscribersFailed
from buslog.execution import Cancel, Fail, Retry, TimedOut
from buslog.flow import Outage, Rate
from buslog.message import Emitted, Kind, Message, Mode, State
from buslog.retry import RetryPolicy

__all__ = [
    "Bus",
    "BuslogError",
    "Cancel",
    "Emission",
    "Emitted",
    "Fail",
    "Kind",
    "Message",
    "Mode",
    "Outage",
    "Rate",
    "Retry",
    "RetryPolicy",
    "State",
    "StillPending",
    "SubscribersFailed",
    "TimedOut",
]
