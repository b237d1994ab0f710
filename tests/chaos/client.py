"""The client: emits through a Bus of its own and logs each emit as invoked, then ok, unknown or refused."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import uuid
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from buslog import Bus
from buslog.config import Settings
from buslog.errors import BuslogError, OutcomeUnknown, SubscribersFailed
from buslog.message import Emitted

from .ledger import note

T = TypeVar("T")


class Client:
    """Emits from a thread of its own until closed. It hosts nothing, so it outlives every worker."""

    def __init__(self, dsn: str, said: Path) -> None:
        self.said_file = said
        self._bus = Bus(host=False, settings=Settings(dsn=dsn))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-client", daemon=True)
        self._flowing = threading.Event()
        self._flows: list[concurrent.futures.Future[None]] = []
        self.errors: list[BuslogError] = []

    def __enter__(self) -> Client:
        self._thread.start()
        self.call(self._bus.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.ebb()
        self.call(self._bus.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[Any, Any, T], seconds: float = 60) -> T:
        """Run something in the client's loop and wait for it."""
        return self.begin(work).result(seconds)

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run something in the client's loop; do not wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def look_for_outcomes(self) -> None:
        """What an emit does that waits for a sync subscriber in another process."""
        await self._bus._started_store.outcomes_of(uuid.uuid4(), [1])

    def say(self, count: int = 1, name: str = "work", **payload: Any) -> list[Emitted | BuslogError]:
        """Emit so many messages at once; what became of each."""

        async def together() -> list[Emitted | BuslogError]:
            return list(await asyncio.gather(*(self.emit(name, payload) for _ in range(count))))

        return self.call(together())

    def flow(self, per_second: float, name: str = "work", **payload: Any) -> None:
        """Emit at a rate from now on, beside what flows already, until `ebb`."""
        self._flowing.set()

        async def flowing() -> None:
            emits = []
            while self._flowing.is_set():
                emits.append(asyncio.create_task(self.emit(name, payload)))
                await asyncio.sleep(1 / per_second)
            await asyncio.gather(*emits)

        self._flows.append(self.begin(flowing()))

    def ebb(self) -> None:
        """Emit no more; waits for what is under way."""
        self._flowing.clear()
        while self._flows:
            self._flows.pop().result(60)

    async def emit(
        self, name: str, payload: dict[str, Any], *, token: str = "", dedupe_key: str | None = None, **options: Any
    ) -> Emitted | BuslogError:
        """One emit, noted before and after. `token`: to say the same again."""
        token = token or uuid.uuid4().hex
        note(self.said_file, "invoked", token, name, None, "")
        try:
            emitted = await self._bus.emit(name, {**payload, "token": token}, dedupe_key=dedupe_key, **options)
        except SubscribersFailed as error:
            emitted = Emitted(error.message_id, 0)
        except BuslogError as error:
            self.errors.append(error)
            what = "unknown" if isinstance(error, OutcomeUnknown) else "refused"
            note(self.said_file, what, token, name, None, f"{type(error).__name__}: {error}")
            return error
        note(self.said_file, "ok", token, name, str(emitted.id), "")
        return emitted
