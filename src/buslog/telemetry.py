"""Spans and metrics by OpenTelemetry's API: what they are called, and when they are made. The SDK is the program's.

Where no provider was set, a hook is a look at a flag. Nothing here holds a payload, a key or an error's text. Why it is
so: docs/decisions/0006-being-seen.md.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from opentelemetry import context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

ONE_TRACE = timedelta(hours=1)  # an attempt longer after its emit begins a trace of its own
SYSTEM = "buslog"

_tracer = trace.get_tracer("buslog")
_meter = metrics.get_meter("buslog")
_propagator = TraceContextTextMapPropagator()

_sent = _meter.create_counter("messaging.client.sent.messages", "{message}", "Messages emitted")
_duration = _meter.create_histogram(
    "messaging.process.duration", "s", "How long an attempt took",
    explicit_bucket_boundaries_advisory=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
_places = _meter.create_up_down_counter("buslog.places.used", "{place}", "Attempts under way")
_settled = _meter.create_counter("buslog.deliveries.settled", "{delivery}", "Outcomes recorded, by state")
_SIZES = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)
_claims = _meter.create_histogram(
    "buslog.claim.size", "{delivery}", "Deliveries of one claim", explicit_bucket_boundaries_advisory=_SIZES
)
_settles = _meter.create_histogram(
    "buslog.settle.size", "{delivery}", "Outcomes of one settle", explicit_bucket_boundaries_advisory=_SIZES
)


class _Listening:
    """Whether a provider was set. Asking for it takes a microsecond, so it is asked for once a batch."""

    def __init__(self) -> None:
        self.to_spans = self.to_metrics = False

    def look(self) -> None:
        self.to_spans = not _is_silent(trace.get_tracer_provider())
        self.to_metrics = not _is_silent(metrics.get_meter_provider())


def _is_silent(provider: object) -> bool:
    """Whether it is one of the API's own, which record nothing."""
    return type(provider).__module__.startswith(("opentelemetry.trace", "opentelemetry.metrics"))


_listening = _Listening()


def look() -> None:
    """When a bus starts: is there a provider? One that is set later is noticed with the next commit."""
    _listening.look()


# ── emit ────────────────────────────────────────────────────────────────────────


class EmitSpan:
    """The span of one emit, from what was said to its commit. `traceparent` travels with the message."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, name: str) -> None:
        self._span = _tracer.start_span(
            f"emit {name}", kind=SpanKind.PRODUCER, attributes=_attributes("emit", "send", name)
        )
        carrier: dict[str, str] = {}
        _propagator.inject(carrier, trace.set_span_in_context(self._span))
        self.traceparent = carrier.get("traceparent")

    def stored(self, message_id: UUID, correlation_id: UUID | None = None) -> None:
        """Committed."""
        self._span.set_attribute("messaging.message.id", str(message_id))
        if correlation_id is not None:
            self._span.set_attribute("messaging.message.conversation_id", str(correlation_id))
        self._span.end()

    def refused(self, error: BaseException) -> None:
        """Not stored, or nobody knows."""
        _fail(self._span, type(error).__name__)
        self._span.end()


def start_emit(name: str) -> EmitSpan | None:
    """The span of an emit, a child of the caller's; None when nobody traces."""
    return EmitSpan(name) if _listening.to_spans else None


@contextmanager
def emitting(name: str) -> Iterator[EmitSpan | None]:
    """An emit in the caller's own transaction, from its statement to the answer."""
    _listening.look()  # the bus need not have been started
    span = start_emit(name)
    try:
        yield span
    except BaseException as error:
        if span is not None:
            span.refused(error)
        count_emits([name], error)
        raise
    count_emits([name])


def count_emits(names: Iterable[str], error: BaseException | None = None) -> None:
    """Messages that were stored together; or, with an error, were not."""
    _listening.look()
    if not _listening.to_metrics:
        return
    for name, number in Counter(names).items():
        attributes = _attributes("emit", "send", name)
        if error is not None:
            attributes["error.type"] = type(error).__name__
        _sent.add(number, attributes)


# ── attempt ─────────────────────────────────────────────────────────────────────


class Attempted(Protocol):
    """A delivery that was claimed, as far as it is told."""

    @property
    def message_id(self) -> UUID: ...
    @property
    def name(self) -> str: ...
    @property
    def generation(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def emitted_at(self) -> datetime: ...
    @property
    def correlation_id(self) -> UUID: ...
    @property
    def traceparent(self) -> str | None: ...


class Ended:
    """How the attempt ended; filled in before the `with` of `attempting` is left."""

    __slots__ = ("error_type", "state")

    def __init__(self) -> None:
        self.state: str | None = None
        self.error_type: str | None = None


def is_heard() -> bool:
    """Whether anybody listens to attempts."""
    return _listening.to_spans or _listening.to_metrics


@contextmanager
def attempting(delivery: Attempted, subscription: str) -> Iterator[Ended]:
    """One attempt: its span is the current one within, and its duration is recorded at the end."""
    ended = Ended()
    began = time.perf_counter()
    _places.add(1)
    try:
        if _listening.to_spans:
            with _attempt_span(delivery, subscription, ended):
                yield ended
        else:
            yield ended
    finally:
        _places.add(-1)
        attributes = _attributes("process", "process", delivery.name, subscription)
        if ended.error_type is not None:
            attributes["error.type"] = ended.error_type
        _duration.record(time.perf_counter() - began, attributes)


@contextmanager
def _attempt_span(delivery: Attempted, subscription: str, ended: Ended) -> Iterator[None]:
    # Built up from an empty context: the task that runs this was begun in whichever context came first.
    created = _propagator.extract({"traceparent": delivery.traceparent} if delivery.traceparent else {})
    emit = trace.get_current_span(created).get_span_context()
    is_late = datetime.now(UTC) - delivery.emitted_at > ONE_TRACE
    span = _tracer.start_span(
        f"process {delivery.name}",
        context=Context() if is_late else created,
        kind=SpanKind.CONSUMER,
        links=[Link(emit)] if emit.is_valid else [],
        attributes={
            **_attributes("process", "process", delivery.name, subscription),
            "messaging.message.id": str(delivery.message_id),
            "messaging.message.conversation_id": str(delivery.correlation_id),
            "buslog.generation": delivery.generation,
            "buslog.attempt": delivery.attempt,
        },
    )
    token = context.attach(trace.set_span_in_context(span, Context()))
    try:
        yield
    finally:
        context.detach(token)
        if ended.state is not None:
            span.set_attribute("buslog.state", ended.state)
        if ended.error_type is not None:
            _fail(span, ended.error_type)
        span.end()


def _fail(span: Span, error_type: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR, error_type)


# ── the worker's batches ────────────────────────────────────────────────────────


def count_claim(deliveries: int) -> None:
    """One look for work, and how much it found."""
    if _listening.to_metrics:
        _claims.record(deliveries)


def count_settle(outcomes: Iterable[tuple[str, str]]) -> None:
    """Outcomes that one settle recorded, each as (subscription, state)."""
    _listening.look()
    if not _listening.to_metrics:
        return
    number = 0
    for (subscription, state), times in Counter(outcomes).items():
        _settled.add(times, {"messaging.destination.subscription.name": subscription, "buslog.state": state})
        number += times
    _settles.record(number)


def _attributes(operation: str, kind: str, name: str, subscription: str | None = None) -> dict[str, AttributeValue]:
    """What the conventions ask for on spans and metrics alike."""
    attributes: dict[str, AttributeValue] = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": name,
    }
    if subscription is not None:
        attributes["messaging.destination.subscription.name"] = subscription
    return attributes
