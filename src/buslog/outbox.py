"""Many emits, one commit: what is emitted while a commit is in flight goes out together in the next one.

Nothing waits on a timer: a lone emit leaves at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass

from buslog import telemetry
from buslog.emission import MAX_COMMIT_SIZE, Letter
from buslog.errors import BuslogError, DatabaseUnavailable, InvalidMessage, OutcomeUnknown
from buslog.loops import wait_or_end
from buslog.notifier import Notifier
from buslog.resolution import Resolution, Sync
from buslog.store import Store, Stored
from buslog.worker import Worker

log = logging.getLogger("buslog")

CHANGE_AGAIN = 0.5  # seconds
MAX_BATCH = 200
STOPPED = "the bus stopped before the database answered"


@dataclass(frozen=True, slots=True)
class _Change:
    """A change of subscriptions, in its place among the emits."""

    make: Callable[[], Awaitable[None]]


class Outbox:
    """What is on its way into the log, in the order it was said. `stored` is called after each commit."""

    def __init__(
        self, store: Store, worker: Worker | None, notifier: Notifier, resolution: Resolution,
        stored: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store = store
        self._worker = worker
        self._notifier = notifier
        self._resolution = resolution
        self._stored = stored
        self._waiting: deque[Letter | _Change] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._heard_elsewhere: set[str] = set()  # names whose last message left deliveries to other workers
        # Subscribers that it starts are not to see the context variables of one who emits: it sends for all of them.
        self._context = copy_context()
        telemetry.look()
        self.closing = False  # a change of subscriptions that the database does not take is given up

    def put(self, letter: Letter) -> None:
        """Take messages; the letter's emission resolves once they are committed."""
        letter.begin()
        self._append(letter)

    def change(self, make: Callable[[], Awaitable[None]]) -> None:
        """Run `make` after the emits before it and before the emits after it. What goes wrong is in the log."""
        self._append(_Change(make))

    async def drain(self, patience: float) -> None:
        """Wait until everything taken so far is out, at most so many seconds; what is not is refused, as an emit whose
        outcome is unknown.
        """
        give_up_at = time.monotonic() + patience
        while (flushing := self._flushing) is not None and not flushing.done():
            await wait_or_end([flushing], max(0.0, give_up_at - time.monotonic()))
            if time.monotonic() >= give_up_at:
                break
        self._give_up()
        await self._notifier.drain(max(0.0, give_up_at - time.monotonic()))

    def _give_up(self) -> None:
        for left in self._waiting:
            if isinstance(left, Letter):
                left.refuse(_unknown(STOPPED))
        self._waiting.clear()

    def _append(self, item: Letter | _Change) -> None:
        self._waiting.append(item)
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush(), name="buslog-outbox", context=self._context)

    async def _flush(self) -> None:
        try:
            while self._waiting:
                if isinstance(self._waiting[0], _Change):
                    await self._carry_out(self._waiting.popleft())  # type: ignore[arg-type]
                else:
                    await self._send(self._next_batch())
        finally:
            self._flushing = None

    def _next_batch(self) -> list[Letter]:
        batch: list[Letter] = []
        messages = size = 0
        while self._waiting and messages < MAX_BATCH and size < MAX_COMMIT_SIZE:
            letter = self._waiting[0]
            if isinstance(letter, _Change) or (batch and messages + len(letter.said) > MAX_BATCH):
                break
            batch.append(self._next_letter())
            messages += len(letter.said)
            size += letter.size
        return batch

    def _next_letter(self) -> Letter:
        letter = self._waiting.popleft()
        assert isinstance(letter, Letter)
        return letter

    async def _send(self, batch: list[Letter]) -> None:
        try:
            await self._store_and_lease(batch)
        except InvalidMessage as error:
            # One bad message must not sink the others of its commit.
            if len(batch) == 1:
                _refuse(batch, error)
            else:
                self._waiting.extendleft(reversed(batch))  # where a stop finds those whose turn does not come
                for _ in batch:
                    await self._send([self._next_letter()])
        except BuslogError as error:
            if isinstance(error, OutcomeUnknown) and self._worker:
                self._worker.reconcile_soon()
            _refuse(batch, error)
        except BaseException as error:
            if self._worker:
                self._worker.reconcile_soon()
            _refuse(batch, _unknown(STOPPED if isinstance(error, asyncio.CancelledError) else type(error).__name__))
            if not isinstance(error, Exception):
                raise
            log.exception("unforeseen error of an emit; going on")

    async def _store_and_lease(self, batch: list[Letter]) -> None:
        said = batch[0].said if len(batch) == 1 else [one for letter in batch for one in letter.said]
        names = [one.name for one in said]
        # Where many go out together, those that wait for the answer are more than those who would start sooner.
        notifying = len(said) == 1 and names[0] in self._heard_elsewhere and self._notifier.with_emit()
        if self._worker is None:
            stored = await self._store.emit_many(said, notifying=notifying)
            sync: list[Sync] = [{}] * len(said)
        else:
            async with self._worker.leasing(names) as lease:
                stored = await self._store.emit_many(said, lease, notifying=notifying)
                sync = [
                    self._worker.adopt(answer.claims(one)) if answer.leased else {}
                    for one, answer in zip(said, stored, strict=True)
                ]
            if any(one.leased for one in stored):
                await asyncio.sleep(0)  # what was leased starts before anything else is done
        telemetry.count_emits(names)
        self._answer(batch, stored, sync)
        self._stored()
        self._notify_others(names, stored, notified=notifying)

    def _notify_others(self, names: Sequence[str], stored: Sequence[Stored], *, notified: bool) -> None:
        """Wake the other workers if something was left to them. For the names of which that is known beforehand, the
        notification has left with the emit, which spares it a way of its own.
        """
        left = {name for name, one in zip(names, stored, strict=True) if one.routed > len(one.leased)}
        self._heard_elsewhere.difference_update(names)
        self._heard_elsewhere |= left
        if left and not notified:
            self._notifier.soon()

    def _answer(self, batch: list[Letter], stored: list[Stored], sync: list[Sync]) -> None:
        start = 0
        for letter in batch:
            end = start + len(letter.said)
            letter.stored(stored[start:end])
            self._resolution.resolve(letter, stored[start:end], sync[start:end])
            start = end

    async def _carry_out(self, change: _Change) -> None:
        """A subscriber must not be off the bus because the database was away for a moment: what is emitted after its
        `on` waits with it.
        """
        while True:
            try:
                await change.make()
            except DatabaseUnavailable as error:
                if self.closing:
                    log.warning("a change of subscriptions was not made: %s", error)
                    return
                log.warning("a change of subscriptions waits: %s", error)
                await asyncio.sleep(CHANGE_AGAIN)
            except Exception:
                log.exception("a subscription could not be changed")
                return
            else:
                return


def _refuse(batch: list[Letter], error: BuslogError) -> None:
    for letter in batch:
        letter.refuse(error)
    telemetry.count_emits((one.name for letter in batch for one in letter.said), error)


def _unknown(was: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        field="emit", rule="is confirmed by the database", was=was,
        mend="Emit it again with the dedupe key it had, or look in the Log first.",
    )  # fmt: skip
