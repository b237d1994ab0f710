"""Many emits, one commit: what is emitted while a commit is in flight goes out together in the next one.

Nothing waits on a timer: a lone emit leaves at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from buslog import telemetry
from buslog.errors import BuslogError, DatabaseUnavailable, InvalidMessage, OutcomeUnknown
from buslog.execution import Outcome
from buslog.notifier import Notifier
from buslog.store import Said, Store, Stored
from buslog.worker import Worker

log = logging.getLogger("buslog")

CHANGE_AGAIN = 0.5  # seconds
MAX_BATCH = 200
MAX_BATCH_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """A stored message, and the outcomes of its sync deliveries that run here."""

    stored: Stored
    sync: dict[int, asyncio.Future[Outcome]]


@dataclass(frozen=True, slots=True)
class _Letter:
    said: Said
    receipt: asyncio.Future[Receipt]
    span: telemetry.EmitSpan | None


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of subscriptions, in its place among the emits."""

    make: Callable[[], Awaitable[None]]


class Outbox:
    """What is on its way into the log, in the order it was said."""

    def __init__(self, store: Store, worker: Worker | None, notifier: Notifier) -> None:
        self._store = store
        self._worker = worker
        self._notifier = notifier
        self._waiting: deque[_Letter | _Change] = deque()
        self._flushing: asyncio.Task[None] | None = None
        telemetry.look()

    def put(self, said: Said) -> asyncio.Future[Receipt]:
        """Take a message; the future resolves once it is committed."""
        span = telemetry.start_emit(said.name)
        if span is not None:
            said = said._replace(traceparent=span.traceparent)
        letter = _Letter(said, asyncio.get_running_loop().create_future(), span)
        self._append(letter)
        return letter.receipt

    def change(self, make: Callable[[], Awaitable[None]]) -> None:
        """Run `make` after the emits before it and before the emits after it. What goes wrong is in the log."""
        self._append(_Change(make))

    async def drain(self) -> None:
        """Wait until everything taken so far is out."""
        while self._flushing is not None:
            await asyncio.gather(self._flushing)
        await self._notifier.drain()

    def _append(self, item: _Letter | _Change) -> None:
        self._waiting.append(item)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush(), name="buslog-outbox")

    async def _flush(self) -> None:
        try:
            while self._waiting:
                if isinstance(self._waiting[0], _Change):
                    await self._carry_out(self._waiting.popleft())  # type: ignore[arg-type]
                else:
                    await self._send(self._next_batch())
        finally:
            self._flushing = None

    def _next_batch(self) -> list[_Letter]:
        batch: list[_Letter] = []
        size = 0
        while self._waiting and len(batch) < MAX_BATCH and size < MAX_BATCH_BYTES:
            letter = self._waiting[0]
            if isinstance(letter, _Change):
                break
            self._waiting.popleft()
            batch.append(letter)
            size += len(letter.said.payload)
        return batch

    async def _send(self, batch: list[_Letter]) -> None:
        try:
            await self._store_and_lease(batch)
        except InvalidMessage as error:
            # One bad message must not sink the others of its commit.
            if len(batch) == 1:
                _fail(batch, error)
            else:
                for letter in batch:
                    await self._send([letter])
        except BuslogError as error:
            if isinstance(error, OutcomeUnknown) and self._worker:
                self._worker.reconcile_soon()
            _fail(batch, error)
        except BaseException as error:
            _fail(batch, OutcomeUnknown(field="emit", rule="is confirmed", was=type(error).__name__))
            raise

    async def _store_and_lease(self, batch: list[_Letter]) -> None:
        said = [letter.said for letter in batch]
        if self._worker is None:
            receipts = [Receipt(stored, {}) for stored in await self._store.emit_many(said)]
        else:
            async with self._worker.leasing([one.name for one in said]) as lease:
                stored_many = await self._store.emit_many(said, lease)
                receipts = [
                    Receipt(stored, self._worker.adopt(stored.claims(one)))
                    for one, stored in zip(said, stored_many, strict=True)
                ]
        telemetry.count_emits(one.name for one in said)
        for letter, receipt in zip(batch, receipts, strict=True):
            if letter.span is not None:
                letter.span.stored(receipt.stored.message_id, receipt.stored.correlation_id)
            if not letter.receipt.done():
                letter.receipt.set_result(receipt)
        if any(receipt.stored.routed > len(receipt.stored.leased) for receipt in receipts):
            self._notifier.soon()

    async def _carry_out(self, change: _Change) -> None:
        """A subscriber must not be off the bus because the database was away for a moment: what is emitted after its
        `on` waits with it.
        """
        while True:
            try:
                await change.make()
            except DatabaseUnavailable as error:
                log.warning("a change of subscriptions waits: %s", error)
                await asyncio.sleep(CHANGE_AGAIN)
            except Exception:
                log.exception("a subscription could not be changed")
                return
            else:
                return


def _fail(batch: list[_Letter], error: BuslogError) -> None:
    telemetry.count_emits((letter.said.name for letter in batch), error)
    for letter in batch:
        if letter.span is not None:
            letter.span.refused(error)
        if not letter.receipt.done():
            letter.receipt.set_exception(error)
