"""How an emit resolves: at its commit, or once the message's sync subscribers have ended, here or elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from buslog.emission import Letter, SubscriberFailed
from buslog.errors import DatabaseUnavailable, StillPending, SubscribersFailed
from buslog.execution import Outcome
from buslog.loops import wait_or_end
from buslog.message import Emitted, State
from buslog.store import Store, Stored

Sync = Mapping[int, "asyncio.Future[Outcome]"]  # outcomes of the sync deliveries that run here, by subscription


class Resolution:
    """Resolves the emits of one bus. sync_wait: seconds that a sync subscriber hosted elsewhere is waited for."""

    def __init__(self, store: Store, sync_wait: float) -> None:
        self._store = store
        self._sync_wait = sync_wait
        self._waiting: set[asyncio.Task[None]] = set()
        self.ended = False  # nobody waits for another process's subscribers any more

    def resolve(self, letter: Letter, stored: Sequence[Stored], sync: Sequence[Sync]) -> None:
        """A letter's messages are committed; without sync subscribers that is all."""
        if any(sync) or any(one.awaited for one in stored):
            task = asyncio.create_task(self._wait(letter, stored, sync))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)
        else:
            letter.resolve([Emitted(one.message_id, one.routed, one.duplicate) for one in stored])

    async def drain(self, patience: float) -> None:
        """Wait until every emit has resolved, at most so many seconds; what is left is still pending."""
        await wait_or_end(self._waiting, patience)

    async def _wait(self, letter: Letter, stored: Sequence[Stored], sync: Sequence[Sync]) -> None:
        try:
            groups = [await self._errors_of(one, outcomes) for one, outcomes in zip(stored, sync, strict=True)]
        except BaseException as error:
            first = stored[0].message_id
            letter.refuse(SubscribersFailed(first, [_still_pending(first)]))
            if not isinstance(error, asyncio.CancelledError):
                raise
            return
        failed = [SubscribersFailed(one.message_id, e) for one, e in zip(stored, groups, strict=True) if e]
        if not failed:
            letter.resolve([Emitted(one.message_id, one.routed, one.duplicate) for one in stored])
        elif len(failed) == 1:
            letter.refuse(failed[0])
        else:
            letter.refuse(ExceptionGroup(f"sync subscribers of {len(failed)} messages raised", failed))

    async def _errors_of(self, stored: Stored, sync: Sync) -> list[Exception]:
        outcomes = [await waiter for waiter in sync.values()]
        errors = [outcome.exception for outcome in outcomes if outcome.exception is not None]
        if any(outcome.state is State.PENDING for outcome in outcomes):
            errors.append(_still_pending(stored.message_id))
        if stored.awaited:
            errors += await self._await_elsewhere(stored.message_id, stored.awaited)
        return errors

    async def _await_elsewhere(self, message_id: UUID, subscriptions: Sequence[int]) -> list[Exception]:
        """Sync subscribers that another process hosts: their first outcome, looked for until the deadline."""
        give_up_at = time.monotonic() + self._sync_wait
        pause = 0.01
        while True:
            try:
                found = await self._store.outcomes_of(message_id, subscriptions)
            except DatabaseUnavailable:
                found = {}  # the message is stored: whoever waits must not hear that it is not
            errors: list[Exception] = [
                SubscriberFailed(
                    field="sync subscriber", rule="succeeds", was=f"{error_type}: {error}",
                    mend="It is retried in the background.",
                )
                for state, error_type, error in found.values()
                if error_type is not None or state is State.CANCELLED
            ]  # fmt: skip
            if len(errors) + sum(state is State.SUCCEEDED for state, _, _ in found.values()) >= len(subscriptions):
                return errors
            if time.monotonic() >= give_up_at or self.ended:
                return [*errors, _still_pending(message_id)]
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)


def _still_pending(message_id: UUID) -> StillPending:
    return StillPending(
        field="sync subscriber", rule="has ended within the deadline", was=f"message {message_id} is still pending",
        mend="It goes on in the background.",
    )  # fmt: skip
