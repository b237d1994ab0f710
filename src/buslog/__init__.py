"""buslog: an event bus with a memory, and the control room over it."""

from buslog.bus import Bus, Emission
from buslog.errors import BuslogError, StillPending, SubscribersFailed
from buslog.message import Emitted, Kind, Message, Mode, State
from buslog.retry import RetryPolicy

__all__ = [
    "Bus",
    "BuslogError",
    "Emission",
    "Emitted",
    "Kind",
    "Message",
    "Mode",
    "RetryPolicy",
    "State",
    "StillPending",
    "SubscribersFailed",
]
