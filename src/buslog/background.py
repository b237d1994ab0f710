"""An event loop in a thread of its own, for programs that have none; what becomes of it at a fork and at the end."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs an event loop until `end`. A daemon thread: a program ends without it (see `end_with_program`)."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="buslog-loop", daemon=True)
        self._thread.start()
        self._ready.wait()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._ready.set()
        await self._ended.wait()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for it here, in another thread. Raises what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def end(self) -> None:
        """Cancel what still runs there, and wait for the end of the thread."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()


class Ends(Protocol):
    """What must be told of a fork, and of the end of the program."""

    def stop_in_thread(self) -> None: ...

    def forget_parent(self) -> None: ...


_running: weakref.WeakSet[Ends] = weakref.WeakSet()
_at_end = False


def forget_after_fork(running: Ends) -> None:
    """Call `forget_parent` in a process that is forked from this one: none of its threads is there, and its connections
    are the parent's.
    """
    _running.add(running)


def end_with_program() -> None:
    """Before the interpreter ends, stop what runs in a thread, so that what was sent goes out."""
    global _at_end  # noqa: PLW0603
    if not _at_end:
        _at_end = True
        # `atexit` comes too late: by then no executor takes work any more, and subscribers run in one.
        threading._register_atexit(_end_all)  # type: ignore[attr-defined]  # noqa: SLF001


def _end_all() -> None:
    for running in list(_running):
        running.stop_in_thread()


def _forget_all() -> None:
    for running in list(_running):
        running.forget_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
    os.register_at_fork(after_in_child=_forget_all)
