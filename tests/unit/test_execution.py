from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import BaseModel

from buslog import Bus, Cancel, Fail, Message, Outage, Retry, RetryPolicy, State
from buslog.execution import Claimed, Outcome, current_message, execute


def claimed(payload: str = '{"shipmentId": "S-42"}', attempt: int = 1) -> Claimed:
    now = datetime.now(UTC)
    return Claimed(
        uuid4(), 1, 1, 1, attempt, attempt, 0, "event", "departed", "S-42", payload, now, uuid4(), None, None
    )  # fmt: skip


@pytest_asyncio.fixture
async def threads() -> AsyncIterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


async def outcome_of(
    subscriber: Any, threads: ThreadPoolExecutor, given: Claimed | None = None, **options: Any
) -> Outcome:
    bus = Bus()
    bus.on("departed", subscriber, **options)
    (subscription,) = bus._registry
    return await execute(given or claimed(), subscription, threads)


async def test_what_a_subscriber_returns_is_its_result(threads: ThreadPoolExecutor) -> None:
    async def subscriber(message: Message) -> dict[str, Any]:
        return {"key": message.key, "at": datetime(2026, 1, 1, tzinfo=UTC)}

    outcome = await outcome_of(subscriber, threads)
    assert outcome.state is State.SUCCEEDED
    assert json.loads(outcome.result or "") == {"key": "S-42", "at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "result",
    [object(), float("nan"), "x" * 64_001, "\x00", "\ud800"],
    ids=["object", "nan", "long", "nul", "surrogate"],
)
async def test_a_result_that_cannot_be_kept_does_not_undo_the_work(threads: ThreadPoolExecutor, result: Any) -> None:
    outcome = await outcome_of(lambda _: result, threads)
    assert outcome.state is State.SUCCEEDED
    assert outcome.result is None or "not kept" in outcome.result


async def test_an_error_is_retried_with_type_text_and_own_frame(threads: ThreadPoolExecutor) -> None:
    async def subscriber(message: Message) -> None:
        json.loads("no json")

    outcome = await outcome_of(subscriber, threads)
    assert outcome.state is State.RETRYING
    assert outcome.delay == pytest.approx(5, rel=0.2)
    assert outcome.error_type == "JSONDecodeError"
    assert outcome.frame is not None
    assert "test_execution.py" in outcome.frame
    assert outcome.frame.endswith("in subscriber")


async def test_the_last_attempt_that_raises_has_failed(threads: ThreadPoolExecutor) -> None:
    def subscriber(message: Message) -> None:
        raise ValueError("no\x00 \ud800 way")

    outcome = await outcome_of(subscriber, threads, claimed(attempt=2), retry=RetryPolicy(max_attempts=2))
    assert outcome.state is State.FAILED
    assert outcome.error == "no� ? way"


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
async def test_a_subscriber_cannot_take_the_worker_down_by_raising(
    threads: ThreadPoolExecutor, error: BaseException
) -> None:
    async def subscriber(message: Message) -> None:
        raise error

    assert (await outcome_of(subscriber, threads)).state is State.RETRYING


@pytest.mark.parametrize("payload", ["[" * 20_000, '{"n": ' + "1" * 5000 + "}", "{"], ids=["deep", "digits", "broken"])
async def test_a_payload_that_will_not_decode_fails_alone_and_at_once(
    threads: ThreadPoolExecutor, payload: str
) -> None:
    outcome = await outcome_of(lambda _: None, threads, claimed(payload))
    assert (outcome.state, outcome.error_type) == (State.FAILED, "PayloadRejected")


class Departed(BaseModel):
    shipmentId: str  # noqa: N815
    eta: datetime | None = None


async def test_a_declared_payload_arrives_parsed(threads: ThreadPoolExecutor) -> None:
    async def subscriber(message: Message[Departed]) -> str:
        assert isinstance(message.payload, Departed)
        return message.payload.shipmentId

    assert (await outcome_of(subscriber, threads, payload=Departed)).result == '"S-42"'


async def test_a_payload_that_breaks_its_schema_fails_unretried_naming_the_field(threads: ThreadPoolExecutor) -> None:
    outcome = await outcome_of(
        lambda _: None, threads, claimed('{"shipmentId": "S-42", "eta": "secret"}'), payload=Departed
    )
    assert outcome.state is State.FAILED
    assert "payload.eta" in (outcome.error or "")
    assert "secret" not in (outcome.error or "")


async def test_each_subscriber_sees_the_message_it_handles_as_the_current_one(threads: ThreadPoolExecutor) -> None:
    def plain(message: Message) -> bool:
        return current_message.get() is message

    async def coroutine(message: Message) -> bool:
        return current_message.get() is message

    assert (await outcome_of(plain, threads)).result == "true"
    assert (await outcome_of(coroutine, threads)).result == "true"
    assert current_message.get() is None


async def test_the_idempotency_key_is_the_same_for_every_retry(threads: ThreadPoolExecutor) -> None:
    given = claimed()
    again = given._replace(attempt=2, generation=2)
    first = await outcome_of(lambda m: m.idempotency_key, threads, given, id="mail")
    assert first.result == (await outcome_of(lambda m: m.idempotency_key, threads, again, id="mail")).result


@pytest.mark.parametrize(
    ("verdict", "attempt", "state", "delay"),
    [
        (Retry(after=7), 1, State.RETRYING, 7),
        (Retry(after=timedelta(minutes=5)), 1, State.RETRYING, 300),
        (Retry(after=7), 3, State.FAILED, None),
        (Fail("no such port"), 1, State.FAILED, None),
        (Cancel("shipment is gone"), 1, State.CANCELLED, None),
    ],
)
async def test_a_subscriber_may_say_itself_what_should_become_of_it(
    threads: ThreadPoolExecutor, verdict: Exception, attempt: int, state: State, delay: float | None
) -> None:
    async def subscriber(message: Message) -> None:
        raise verdict

    outcome = await outcome_of(subscriber, threads, claimed(attempt=attempt), retry=RetryPolicy(max_attempts=3))
    assert (outcome.state, outcome.delay) == (state, delay)


async def test_an_exception_that_is_not_worth_retrying_fails_at_once(threads: ThreadPoolExecutor) -> None:
    def subscriber(message: Message) -> None:
        raise UnicodeDecodeError("utf-8", b"", 0, 1, "malformed")

    assert (await outcome_of(subscriber, threads, fail_on=ValueError)).state is State.FAILED
    assert (await outcome_of(subscriber, threads, fail_on=[KeyError])).state is State.RETRYING


async def test_a_coroutine_past_its_time_out_is_stopped_and_retried(threads: ThreadPoolExecutor) -> None:
    stopped = asyncio.Event()

    async def endless(message: Message) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    outcome = await outcome_of(endless, threads, timeout=0.05)
    assert (outcome.state, outcome.error_type, outcome.error) == (State.RETRYING, "TimedOut", "took longer than 0.05 s")
    assert stopped.is_set()


async def test_a_subscriber_s_own_time_out_is_not_mistaken_for_the_subscription_s(threads: ThreadPoolExecutor) -> None:
    async def subscriber(message: Message) -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    assert (await outcome_of(subscriber, threads, timeout=5)).error_type == "TimeoutError"


@pytest.mark.parametrize("after", [-1, float("inf"), float("nan"), 1e9])
def test_a_nonsense_wait_is_refused_where_it_is_asked_for(after: float) -> None:
    with pytest.raises(ValueError, match="after is"):
        Retry(after=after)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ConnectionResetError("reset"), True),
        (OSError("disk"), True),
        (ValueError("broken"), False),
        (Fail("hopeless"), False),
        (Cancel("not needed"), False),
        (Retry("later", after=3), False),
        (FileNotFoundError("in fail_on"), False),
    ],
)
async def test_an_outage_is_an_error_that_was_named_and_is_not_about_the_delivery_itself(
    threads: ThreadPoolExecutor, raised: Exception, expected: bool
) -> None:
    async def subscriber(message: Message) -> None:
        raise raised

    errors = (OSError, Fail, Cancel, Retry)
    outcome = await outcome_of(subscriber, threads, outage=Outage(errors=errors), fail_on=FileNotFoundError)
    assert outcome.outage is expected
    assert not (await outcome_of(subscriber, threads)).outage


async def test_a_payload_that_breaks_its_schema_is_no_outage_however_wide_the_errors(
    threads: ThreadPoolExecutor,
) -> None:
    outcome = await outcome_of(lambda _: None, threads, claimed("[" * 3), outage=Outage(errors=(Exception,)))
    assert (outcome.state, outcome.outage) == (State.FAILED, False)


BY_ERROR = {
    OSError: RetryPolicy(max_attempts=2, first_delay=100, jitter=0),
    ConnectionError: RetryPolicy(max_attempts=9, first_delay=7, factor=2, jitter=0),
}


@pytest.mark.parametrize(
    ("raised", "attempt", "state", "delay"),
    [
        (ConnectionResetError, 1, State.RETRYING, 7),
        (ConnectionResetError, 3, State.RETRYING, 28),
        (FileNotFoundError, 1, State.RETRYING, 100),
        (FileNotFoundError, 2, State.FAILED, None),
        (ValueError, 2, State.RETRYING, 1),
        (ValueError, 3, State.FAILED, None),
    ],
)
async def test_the_policy_of_the_nearest_class_of_an_error_decides(
    threads: ThreadPoolExecutor, raised: type[Exception], attempt: int, state: State, delay: float | None
) -> None:
    async def subscriber(message: Message) -> None:
        raise raised("broken")

    own = RetryPolicy(max_attempts=3, first_delay=1, factor=1, jitter=0)
    outcome = await outcome_of(subscriber, threads, claimed(attempt=attempt), retry=own, retry_by_error=BY_ERROR)
    assert (outcome.state, outcome.delay) == (state, delay)


async def test_what_is_not_charged_counts_for_the_number_of_an_attempt_and_not_for_its_policy(
    threads: ThreadPoolExecutor,
) -> None:
    async def subscriber(message: Message) -> None:
        raise ValueError(str(message.attempt))

    given = claimed()._replace(attempt=40, charged=2)
    outcome = await outcome_of(subscriber, threads, given, retry=RetryPolicy(max_attempts=3, first_delay=1, jitter=0))
    assert (outcome.state, outcome.delay, outcome.error) == (State.RETRYING, 3, "40")
