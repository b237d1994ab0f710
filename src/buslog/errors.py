"""The error tree. Every error has one shape: field, rule, what it was, limit, how to mend it.

BuslogError
├── InvalidMessage          emit refused: name, key or payload
├── InvalidSubscription     on or command refused
├── UnknownCommand          asked to run a command that nobody registered
├── InvalidImport           a line of a history file; nothing of the file was taken over
├── InvalidFilter           a filter, from a URL or a command line
├── InvalidRule             an alert rule that cannot be kept
├── OperationRefused        a replay, run now or cancel that the delivery's state does not allow
├── RoleTooLow              the actor's role may not do this; the attempt is in the audit
├── NotFound                no such message, delivery, run or failure group
├── StaleDelivery           a subscriber's transaction whose delivery was cancelled or rescued meanwhile
├── BusNotStarted           emit before `async with bus`, or after its end
├── StreamEnded             `events` was read too slowly, or `once` was cut short by `clear` or a stop
├── StillPending            a sync subscriber hosted elsewhere has not ended within the deadline
├── Misconfigured           settings or database that cannot work; the CLI ends with 2
│   └── NotPermitted        the role we connect as may not do this
└── DatabaseUnavailable     the database did not answer, or could not; nothing was recorded as done
    └── OutcomeUnknown      the connection broke during a commit: what was asked for may or may not be done

SubscribersFailed           an ExceptionGroup: what the sync subscribers of one message raised
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

ErrorT = TypeVar("ErrorT", bound="BuslogError")


class BuslogError(Exception):
    """What was wrong, where, and how to mend it. Carries no payload, password or traceback."""

    def __init__(self, *, field: str, rule: str, was: str = "", limit: str = "", mend: str = "") -> None:
        self.field, self.rule, self.was, self.limit, self.mend = field, rule, was, limit, mend
        facts = ", ".join(
            part for part in (f"was {shorten(was)}" if was else "", f"limit {limit}" if limit else "") if part
        )
        super().__init__(f"{field}: {rule}{f' ({facts})' if facts else ''}.{f' {mend}' if mend else ''}")

    def recast(self, kind: type[ErrorT], *, field: str | None = None, mend: str | None = None) -> ErrorT:
        """The same refusal as another of our errors, where another room asked."""
        return kind(
            field=self.field if field is None else field,
            rule=self.rule,
            was=self.was,
            limit=self.limit,
            mend=self.mend if mend is None else mend,
        )


class InvalidMessage(BuslogError): ...


class InvalidSubscription(BuslogError): ...


class UnknownCommand(BuslogError): ...


class InvalidImport(BuslogError): ...


class InvalidFilter(BuslogError): ...


class InvalidRule(BuslogError): ...


class OperationRefused(BuslogError): ...


class RoleTooLow(BuslogError): ...


class NotFound(BuslogError): ...


class StaleDelivery(BuslogError): ...


class BusNotStarted(BuslogError): ...


class StreamEnded(BuslogError): ...


class StillPending(BuslogError): ...


class Misconfigured(BuslogError): ...


class NotPermitted(Misconfigured): ...


class DatabaseUnavailable(BuslogError): ...


class OutcomeUnknown(DatabaseUnavailable): ...


class SubscribersFailed(ExceptionGroup[Exception]):
    """Raised by awaiting an emit: the message is stored, these sync subscribers of it raised.

    What can be retried is retried in the background. `message_id` leads to the message.
    """

    message_id: UUID

    def __new__(cls, message_id: UUID, errors: Sequence[Exception]) -> SubscribersFailed:
        noun = "subscriber" if len(errors) == 1 else "subscribers"
        self = super().__new__(cls, f"{len(errors)} sync {noun} of message {message_id} raised", errors)
        self.message_id = message_id
        return self

    def derive(self, errors: Sequence[Exception], /) -> SubscribersFailed:  # type: ignore[override]
        """Splitting the group keeps the message's id."""
        return SubscribersFailed(self.message_id, errors)


def shorten(text: str, length: int = 120) -> str:
    """At most `length` characters of a text, for errors and lists."""
    return text if len(text) <= length else text[: length - 1] + "…"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A sentence that offers the nearest known words, or names a few that exist."""
    import difflib  # noqa: PLC0415  (only on the error path)

    near = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"Known: {', '.join(sorted(known)[:10])}." if known else "None is registered yet."
