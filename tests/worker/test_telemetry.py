"""What a program that set OpenTelemetry's SDK up sees of the bus."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from buslog import Bus, Message, db, telemetry
from buslog.config import Settings
from buslog.errors import InvalidMessage
from buslog.execution import Claimed
from buslog.store import Said

from .conftest import QUICK, until

exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
SECRET = "hunter2"


@pytest.fixture(scope="module", autouse=True)
def sdk() -> None:
    """A process sets its providers once; what other tests do meanwhile is recorded too, and looked at by nobody."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    exporter.clear()
    yield
    exporter.clear()


async def spans(*names: str) -> list[ReadableSpan]:
    """The ended spans, once there are so many, in the order they began."""
    await until(lambda: len(exporter.get_finished_spans()) >= len(names))
    found = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    assert [span.name for span in found] == list(names)
    return found


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    assert child.context is not None
    assert parent.context is not None
    return (
        child.parent is not None
        and child.parent.span_id == parent.context.span_id
        and child.context.trace_id == parent.context.trace_id
    )


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("in_thread", [False, True], ids=["coroutine", "thread"])
async def test_emit_subscriber_emit_is_one_trace(bus: Bus, in_thread: bool) -> None:
    async def books(message: Message) -> None:
        await bus.emit("booked", {"a": SECRET})

    def books_in_thread(message: Message) -> None:
        bus.emit("booked", {"a": SECRET}).result(10)

    bus.on("ordered", books_in_thread if in_thread else books, id="books")
    bus.on("booked", lambda _: None, id="mails")
    async with bus:
        with trace.get_tracer("test").start_as_current_span("request"):
            emitted = await bus.emit("ordered", {"shipmentId": SECRET})
        request, ordered, books_, booked, mails = await spans(
            "request", "emit ordered", "process ordered", "emit booked", "process booked"
        )
    assert is_child(ordered, request)
    assert is_child(books_, ordered)
    assert is_child(booked, books_)
    assert is_child(mails, booked)
    assert [span.kind for span in (ordered, books_)] == [SpanKind.PRODUCER, SpanKind.CONSUMER]
    assert ordered.context is not None
    assert [link.context.span_id for link in books_.links] == [ordered.context.span_id]
    assert told(ordered) == {
        "messaging.system": "buslog", "messaging.operation.name": "emit", "messaging.operation.type": "send",
        "messaging.destination.name": "ordered", "messaging.message.id": str(emitted.id),
        "messaging.message.conversation_id": str(emitted.id),
    }  # fmt: skip
    assert told(books_) == {
        "messaging.system": "buslog", "messaging.operation.name": "process", "messaging.operation.type": "process",
        "messaging.destination.name": "ordered", "messaging.destination.subscription.name": "books",
        "messaging.message.id": str(emitted.id), "messaging.message.conversation_id": str(emitted.id),
        "buslog.generation": 1, "buslog.attempt": 1, "buslog.state": "succeeded",
    }  # fmt: skip
    assert told(mails)["messaging.message.conversation_id"] == str(emitted.id)
    assert SECRET not in "".join(span.to_json() for span in (ordered, books_, booked, mails))


async def test_the_trace_travels_with_the_message(bus: Bus, emitter: Bus, connection: db.Connection) -> None:
    """The emitter hosts nothing: what the worker knows of the trace it has from the database."""
    bus.on("ordered", lambda _: None, id="books")
    async with bus, emitter:
        await emitter.emit("ordered")
        emit, attempt = await spans("emit ordered", "process ordered")
    assert is_child(attempt, emit)
    assert emit.context is not None
    stored = connection.execute("SELECT traceparent FROM buslog.messages").fetchone()
    context = emit.context
    assert stored == (f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}",)


async def test_emits_of_one_commit_have_each_their_own_parent(bus: Bus, emitter: Bus) -> None:
    """A delivery that is born leased starts in a task of the first emitter's context."""
    bus.on(("one", "two"), lambda _: None, id="books")
    tracer = trace.get_tracer("test")

    async def request(name: str) -> None:
        with tracer.start_as_current_span(f"request {name}"):
            await bus.emit(name)

    async with bus:
        await asyncio.gather(request("one"), request("two"))
        await until(lambda: len(exporter.get_finished_spans()) == 6)
    by_name = {span.name: span for span in exporter.get_finished_spans()}
    for name in ("one", "two"):
        assert is_child(by_name[f"emit {name}"], by_name[f"request {name}"])
        assert is_child(by_name[f"process {name}"], by_name[f"emit {name}"])


async def test_an_emit_from_a_plain_thread_belongs_to_the_threads_span(bus: Bus) -> None:
    def in_thread() -> None:
        with trace.get_tracer("test").start_as_current_span("request"):
            bus.emit("ordered").result(10)

    async with bus:
        await asyncio.to_thread(in_thread)
        request, emit = await spans("request", "emit ordered")
    assert is_child(emit, request)


async def test_an_attempt_that_raises_tells_the_type_of_its_error_and_nothing_more(bus: Bus) -> None:
    async def raises(message: Message) -> None:
        if message.attempt == 1:
            raise ValueError(SECRET)

    bus.on("ordered", raises, id="books", retry=QUICK)
    async with bus:
        await bus.emit("ordered", {"shipmentId": SECRET})
        emit, first, second = await spans("emit ordered", "process ordered", "process ordered")
    assert is_child(first, emit)
    assert is_child(second, emit)
    assert (told(first)["error.type"], told(first)["buslog.state"]) == ("ValueError", "retrying")
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "ValueError")
    assert (told(second)["buslog.attempt"], told(second)["buslog.state"]) == (2, "succeeded")
    assert second.status.status_code is StatusCode.UNSET
    assert SECRET not in "".join(span.to_json() for span in (emit, first, second))


def claimed(age: timedelta, traceparent: str | None) -> Claimed:
    return Claimed(
        uuid.uuid4(), 1, 1, 1, 1, 1, 0, "event", "ordered", None, "{}", datetime.now(UTC) - age, uuid.uuid4(), None,
        traceparent,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("age", "joins"), [(timedelta(minutes=59), True), (timedelta(minutes=61), False), (timedelta(days=9), False)]
)
async def test_an_attempt_long_after_its_emit_begins_a_trace_that_is_linked(age: timedelta, joins: bool) -> None:
    trace_id = 0xABCDEF0123456789ABCDEF0123456789
    telemetry.look()
    with (
        trace.get_tracer("test").start_as_current_span("something else"),
        telemetry.attempting(claimed(age, f"00-{trace_id:032x}-0123456789abcdef-01"), "books"),
    ):
        pass
    attempt = exporter.get_finished_spans()[0]
    assert attempt.context is not None
    assert (attempt.context.trace_id == trace_id) is joins
    assert (attempt.parent is not None) is joins
    assert [link.context.trace_id for link in attempt.links] == [trace_id]


@pytest.mark.parametrize("traceparent", [None, "", "nonsense", "00-" + "0" * 32 + "-0123456789abcdef-01"])
async def test_a_message_that_nobody_traced_begins_a_trace_at_its_attempt(traceparent: str | None) -> None:
    telemetry.look()
    with telemetry.attempting(claimed(timedelta(0), traceparent), "books"):
        pass
    (attempt,) = exporter.get_finished_spans()
    assert attempt.parent is None
    assert not attempt.links


async def test_an_emit_in_the_callers_transaction_is_traced_and_so_is_its_refusal(
    bus: Bus, dsn: str, connection: db.Connection
) -> None:
    bus.on("awaited", lambda _: None, id="waits", mode="sync")
    async with bus:
        stored = bus.emit_within(connection, "ordered")
        with pytest.raises(InvalidMessage):
            bus.emit_within(connection, "awaited")
        async with await db.connect_async(dsn) as asynchronous:
            await bus.emit_within(asynchronous, "later")
    ordered, awaited, later = await spans("emit ordered", "emit awaited", "emit later")
    assert told(ordered)["messaging.message.id"] == str(stored.id)
    assert told(awaited)["error.type"] == "InvalidMessage"
    assert awaited.status.status_code is StatusCode.ERROR
    assert later.status.status_code is StatusCode.UNSET
    rows = connection.execute("SELECT name, traceparent FROM buslog.messages ORDER BY id").fetchall()
    assert [(name, traceparent is not None) for name, traceparent in rows] == [("ordered", True), ("later", True)]


# ── metrics ─────────────────────────────────────────────────────────────────────


def points(metric: str, **attributes: str) -> list[Any]:
    """The data points of a metric that have these attributes; `name` is the destination's."""
    data = reader.get_metrics_data()
    wanted = {f"messaging.destination.{name}" if "." not in name else name: value for name, value in attributes.items()}
    found = [
        point
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for one in scope.metrics
        if one.name == metric
        for point in one.data.data_points
    ]
    return [point for point in found if wanted.items() <= dict(point.attributes or {}).items()]


async def test_emits_attempts_and_outcomes_are_counted(bus: Bus, emitter: Bus) -> None:
    name = f"counted {uuid.uuid4()}"

    async def raises_once(message: Message) -> None:
        (place,) = points("buslog.places.used")
        running.append(place.value)
        if message.attempt == 1:
            raise ValueError(SECRET)

    running: list[int] = []
    bus.on(name, raises_once, id=f"books {name}", retry=QUICK)
    async with bus, emitter:
        await asyncio.gather(*(emitter.emit(name) for _ in range(3)))
        await until(lambda: len(running) == 6)
    (sent,) = points("messaging.client.sent.messages", name=name)
    assert (sent.value, dict(sent.attributes)["messaging.operation.name"]) == (3, "emit")
    by_error = {
        dict(point.attributes).get("error.type"): point for point in points("messaging.process.duration", name=name)
    }
    assert {error: point.count for error, point in by_error.items()} == {"ValueError": 3, None: 3}
    assert 0 < by_error[None].sum < 10
    settled = points("buslog.deliveries.settled", **{"messaging.destination.subscription.name": f"books {name}"})
    assert {dict(point.attributes)["buslog.state"]: point.value for point in settled} == {"retrying": 3, "succeeded": 3}
    assert max(running) >= 1
    assert [point.value for point in points("buslog.places.used")] == [0]
    assert points("buslog.claim.size")[0].sum >= 6
    assert points("buslog.settle.size")[0].sum >= 6


async def test_an_emit_that_is_not_stored_is_told_with_its_error(test_settings: Settings) -> None:
    name = f"refused {uuid.uuid4()}"
    async with Bus(host=False, settings=test_settings) as bus:
        assert bus._running is not None
        good, bad = Said(name, "{}"), Said(name, '{"a": "\\u0000"}')  # Python refuses it earlier
        with pytest.raises(InvalidMessage):
            await asyncio.gather(*(bus._running.put(said) for said in (good, bad)))
        emits = await spans(f"emit {name}", f"emit {name}")
    sent = {dict(p.attributes).get("error.type"): p.value for p in points("messaging.client.sent.messages", name=name)}
    assert sent == {None: 1, "InvalidMessage": 1}
    assert sorted(told(span).get("error.type", "") for span in emits) == ["", "InvalidMessage"]
