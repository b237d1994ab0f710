"""buslog: an event bus with a memory, and the control room over it."""

from buslog.bus import Bus
from buslog.emission import Emission
from buslog.errors import BuslogError, StillPending, StreamEnded, SubscribersFailed
from buslog.event import Event
from buslog.execution import Cancel, Fail, Retry, TimedOut
from buslog.flow import Outage, Rate
from buslog.follow import Stream
from buslog.message import Emitted, Kind, Message, Mode, Record, State
from buslog.retry import RetryPolicy
from buslog.subscribing import Off, SubscriberAdded, SubscriberRemoved

__all__ = [
    "Bus",
    "BuslogError",
    "Cancel",
    "Emission",
    "Emitted",
    "Event",
    "Fail",
    "Kind",
    "Message",
    "Mode",
    "Off",
    "Outage",
    "Rate",
    "Record",
    "Retry",
    "RetryPolicy",
    "State",
    "StillPending",
    "Stream",
    "StreamEnded",
    "SubscriberAdded",
    "SubscriberRemoved",
    "SubscribersFailed",
    "TimedOut",
]
