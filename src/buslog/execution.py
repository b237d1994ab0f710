"""Run one delivery: decode, check, call, take the result, judge. Touches no database."""

from __future__ import annotations

import asyncio
import inspect
import json
import sysconfig
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_jsonable_python

from buslog import telemetry
from buslog.errors import BuslogError
from buslog.loops import alarms
from buslog.message import Kind, Message, PayloadT, State, Transaction
from buslog.payload import MAX_RESULT_BYTES
from buslog.retry import LONGEST_DELAY
from buslog.subscription import Subscription

MAX_ERROR_LENGTH = 2_000
MAX_TRACEBACK_LENGTH = 16_000

current_message: ContextVar[Message[Any] | None] = ContextVar("buslog_current_message", default=None)


class Claimed(NamedTuple):
    """A delivery leased to this process, with its message. `payload` is JSON text: it is decoded on its own, so that
    one that will not decode fails alone. `fence` is asked for at settle. `charged`: attempts that count, this one
    included.
    """

    message_id: UUID
    subscription_id: int
    fence: int
    generation: int
    attempt: int
    charged: int
    repeats: int
    kind: str
    name: str
    key: str | None
    payload: str
    emitted_at: datetime
    correlation_id: UUID
    causation_id: UUID | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt, ready to be settled. `outage`: its error means that the other side is down.
    `exception` stays in the process, for a sync publisher.
    """

    state: State
    result: str | None = None
    delay: float | None = None
    error_type: str | None = None
    error: str | None = None
    frame: str | None = None
    traceback: str | None = None
    outage: bool = False
    exception: Exception | None = None


class PayloadRejected(BuslogError):
    """A stored payload that the subscriber's declared type refuses. Not retried: it will not mend itself."""


class TimedOut(Exception):
    """A coroutine subscriber ran past its subscription's time-out and was stopped."""


class Verdict(Exception):
    """Raised by a subscriber that knows better than its policy what should become of the delivery."""


class Retry(Verdict):
    """Try again after so many seconds, or when the policy says. Counts as an attempt that raised."""

    def __init__(self, reason: str = "asked to be retried", *, after: float | timedelta | None = None) -> None:
        super().__init__(reason)
        seconds = after.total_seconds() if isinstance(after, timedelta) else after
        if seconds is not None and not 0 <= seconds <= LONGEST_DELAY:
            raise ValueError(f"after is 0 to {LONGEST_DELAY:.0f} seconds, not {seconds}")
        self.after = None if seconds is None else float(seconds)


class Fail(Verdict):
    """Not worth retrying: the delivery has failed and waits for a person."""

    def __init__(self, reason: str = "not worth retrying") -> None:
        super().__init__(reason)


class Cancel(Verdict):
    """Nothing to be done any more: the delivery ends as cancelled."""

    def __init__(self, reason: str = "no longer needed") -> None:
        super().__init__(reason)


RELEASED = Outcome(State.PENDING)
SUCCEEDED = Outcome(State.SUCCEEDED)


def execute(
    claimed: Claimed, subscription: Subscription, threads: Executor, begin: Callable[[], Transaction] | None = None
) -> Coroutine[Any, Any, Outcome]:
    """Run the subscriber on its message. Raises only asyncio.CancelledError, when the worker stops it.

    begin: makes the attempt's own transaction.
    """
    run = _told if telemetry.is_heard() else _attempt
    return run(claimed, subscription, threads, begin)


async def _told(
    claimed: Claimed, subscription: Subscription, threads: Executor, begin: Callable[[], Transaction] | None
) -> Outcome:
    with telemetry.attempting(claimed, subscription.id) as ended:
        outcome = await _attempt(claimed, subscription, threads, begin)
        ended.state, ended.error_type = outcome.state, outcome.error_type
        return outcome


async def _attempt(
    claimed: Claimed, subscription: Subscription, threads: Executor, begin: Callable[[], Transaction] | None
) -> Outcome:
    try:
        message = _message(claimed, subscription, begin)
        returned = await _call(subscription, message, threads)
        return SUCCEEDED if returned is None else Outcome(State.SUCCEEDED, result=_result(returned))
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        return _judge(error, claimed.charged, subscription)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return _judge(error, claimed.charged, subscription)


_KINDS = {kind.value: kind for kind in Kind}


def _message(claimed: Claimed, subscription: Subscription, begin: Callable[[], Transaction] | None) -> Message[Any]:
    message: Message[Any] = Message(  # by position: by name it takes half as long again
        claimed.message_id, _KINDS[claimed.kind], claimed.name, claimed.key, decode(claimed.payload),
        claimed.emitted_at, claimed.correlation_id, claimed.causation_id, subscription.id, claimed.attempt,
        claimed.generation, claimed.repeats, begin,
    )  # fmt: skip
    if subscription.payload_type is None:
        return message
    return message.with_payload(parse_payload(subscription.payload_type, claimed.payload))


def decode(text: str) -> Any:
    """A stored payload's JSON. Raises `PayloadRejected`."""
    try:
        return from_json(text)
    except ValueError as error:
        raise PayloadRejected(
            field="payload", rule="can be decoded", was=type(error).__name__, mend="Emit it anew, corrected."
        ) from None


def parse_payload(declared: TypeAdapter[PayloadT], text: str) -> PayloadT:
    """The payload in its declared type. Raises `PayloadRejected` naming the first field at fault."""
    try:
        return declared.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise PayloadRejected(
            field=".".join(["payload", *(str(part) for part in first["loc"])]),
            rule=first["msg"], mend="Emit it anew, corrected.",
        ) from None  # fmt: skip


async def _call(subscription: Subscription, message: Message[Any], threads: Executor) -> Any:
    """Coroutine functions run in the loop; plain ones in a thread. Both see the message as the current one."""
    token = current_message.set(message)
    try:
        if subscription.runs_in_thread:
            returned = await asyncio.get_running_loop().run_in_executor(
                threads, copy_context().run, subscription.subscriber, message
            )
            if not inspect.isawaitable(returned):
                return returned
        else:
            returned = subscription.subscriber(message)
        return await _within(subscription.timeout, returned)
    finally:
        current_message.reset(token)


async def _within(seconds: float | None, awaited: Awaitable[Any]) -> Any:
    """Raises `TimedOut`, which is not mistaken for a time-out of the subscriber's own. What `asyncio.timeout` does, for
    less: this is on the path of every delivery.
    """
    if seconds is None:
        return await awaited
    task = asyncio.current_task()
    assert task is not None
    cancelling = task.cancelling()
    bells = alarms()
    alarm = bells.set(seconds, task.cancel)
    try:
        return await awaited
    except asyncio.CancelledError:
        if bells.has_rung(alarm) and task.cancelling() == cancelling + 1:
            raise TimedOut(f"took longer than {seconds:g} s") from None
        raise
    finally:
        if bells.has_rung(alarm):
            task.uncancel()
        else:
            bells.clear(alarm)


def _result(returned: Any) -> str:
    """The JSON text of what a subscriber returned. What cannot be kept is named in its place: the work is done."""
    try:
        text = json.dumps(to_jsonable_python(returned), allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except (ValueError, TypeError, RecursionError) as error:
        return json.dumps(
            {"buslog": f"result not kept: {type(returned).__name__} is not JSON ({type(error).__name__})"}
        )
    if size > MAX_RESULT_BYTES or "\\u0000" in text:
        reason = f"{size} bytes, limit {MAX_RESULT_BYTES}" if size > MAX_RESULT_BYTES else "it holds NUL characters"
        return json.dumps({"buslog": f"result not kept: {reason}"})
    return text


def _judge(error: BaseException, charged: int, subscription: Subscription) -> Outcome:
    """Retry, failed or cancelled: the error itself may say, else the policy decides."""
    state, delay = _verdict(error, charged, subscription)
    return Outcome(
        state,
        delay=delay,
        outage=_means_outage(error, subscription),
        error_type=type(error).__qualname__,
        error=storable(str(error) or repr(error), MAX_ERROR_LENGTH),
        frame=_own_frame(error.__traceback__),
        traceback=storable("".join(traceback.format_exception(error)), MAX_TRACEBACK_LENGTH),
        exception=error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__} was raised"),
    )


def _verdict(error: BaseException, charged: int, subscription: Subscription) -> tuple[State, float | None]:
    if isinstance(error, Cancel):
        return State.CANCELLED, None
    hopeless = (Fail, PayloadRejected, *subscription.fail_on)
    delay = None if isinstance(error, hopeless) else subscription.policy_for(error).delay_after(charged)
    if delay is None:
        return State.FAILED, None
    asked = error.after if isinstance(error, Retry) else None
    return State.RETRYING, delay if asked is None else asked


def _means_outage(error: BaseException, subscription: Subscription) -> bool:
    """A verdict, and what will not mend itself, is about this delivery, however wide the errors that were named."""
    outage = subscription.outage
    own = (Verdict, PayloadRejected, *subscription.fail_on)
    return outage is not None and isinstance(error, outage.errors) and not isinstance(error, own)


def unjudged(error: Exception, charged: int, subscription: Subscription) -> Outcome:
    """The outcome of an attempt whose own error cannot be read, such as one whose `str` raises."""
    delay = subscription.retry.delay_after(charged)
    return Outcome(
        State.FAILED if delay is None else State.RETRYING,
        delay=delay,
        error_type=type(error).__qualname__,
        error="the error could not be read",
        exception=RuntimeError(f"{type(error).__name__} while judging an attempt"),
    )


def storable(text: str, length: int) -> str:
    """A text that PostgreSQL can hold: no NUL, no lone surrogates, at most `length` characters (its end is kept)."""
    clean = text.replace("\x00", "�").encode("utf-8", "replace").decode()
    return clean if len(clean) <= length else "…" + clean[1 - length :]


_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")} | {str(Path(__file__).parent)}
)


def _own_frame(trace: TracebackType | None) -> str | None:
    """The innermost frame of the subscriber's own code, as `file:line in function`."""
    frames = [frame for frame in traceback.extract_tb(trace) if not frame.filename.startswith((*_LIBRARIES, "<"))]
    return (
        storable(f"{_relative(frames[-1].filename)}:{frames[-1].lineno} in {frames[-1].name}", 300) if frames else None
    )


def _relative(filename: str) -> str:
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else path.name
