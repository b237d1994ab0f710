"""Child processes that live and die with their parent: `buslog up` runs its worker, traffic and dashboard so.

Each child leads a session of its own, so that Ctrl-C reaches the parent alone, which stops them in order; and each
holds a lifeline (lifeline.py), so that it notices when the parent is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

LOOK_EVERY = 0.1  # seconds
STEADY_SECONDS = 60.0  # a child that lived so long has not died early
EARLY_DEATHS = 5  # in a row: then all give up
LONGEST_PAUSE = 10.0  # seconds before a child is started again
MISUSED = 2  # a child that ended so would end so again


@dataclass
class Child:
    """A Python module to run. `may_start` holds it back until it is true; `may_end`: 0 is an end, not a death."""

    name: str
    module: str
    arguments: Sequence[str] = ()
    may_start: Callable[[], bool] = lambda: True
    may_end: bool = False
    grace: float = 30.0  # seconds to stop in

    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    deaths: int = field(default=0, init=False)
    started_at: float = field(default=0.0, init=False)
    start_after: float = field(default=0.0, init=False)
    ended: bool = field(default=False, init=False)

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None


class Supervisor:
    """Runs children in the order given until SIGINT, SIGTERM or SIGHUP, or until one cannot be kept alive."""

    def __init__(self, children: Sequence[Child], env: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._children = children
        self._env = dict(env)
        self._tell = tell
        self._stop = threading.Event()
        self._signals = 0

    def run(self, each_look: Callable[[], None] = lambda: None) -> int:
        """Returns 0 when told to stop, 2 when a child was misconfigured, 1 when one kept dying. None is left running.

        A second signal kills what has not stopped yet.
        """
        code = 0
        with self._listening():
            try:
                while not self._stop.is_set() and code == 0:
                    code = max(self._look_after(child) for child in self._children)
                    each_look()
                    self._stop.wait(LOOK_EVERY)
            finally:
                self._end_all()
        return code

    # ── one child ───────────────────────────────────────────────────────────────

    def _look_after(self, child: Child) -> int:
        """Start it, or start it again. 0: all is well; otherwise the code with which to give up."""
        if child.ended:
            return 0
        if child.process is None:
            if time.monotonic() >= child.start_after and child.may_start():
                self._start(child)
            return 0
        code = child.process.poll()
        return 0 if code is None else self._bury(child, code)

    def _start(self, child: Child) -> None:
        child.process = subprocess.Popen(  # noqa: S603  (our own interpreter)
            [sys.executable, "-m", "buslog.lifeline", child.module, *child.arguments],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env=self._env,
        )
        child.started_at = time.monotonic()

    def _bury(self, child: Child, code: int) -> int:
        self._sweep(child)
        if code == 0 and child.may_end:
            child.ended = True
            self._tell(f"{child.name} has ended.")
            return 0
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if code == MISUSED:
            self._tell(f"{child.name} ended {how}: stopping.")
            return MISUSED
        lived = time.monotonic() - child.started_at
        child.deaths = 1 if lived > STEADY_SECONDS else child.deaths + 1
        if child.deaths >= EARLY_DEATHS:
            self._tell(f"{child.name} ended {how}, {child.deaths} times in a row: stopping.")
            return 1
        pause = min(0.5 * 2**child.deaths, LONGEST_PAUSE)
        child.start_after = time.monotonic() + pause
        self._tell(f"{child.name} ended {how}; it starts again in {pause:.0f} s.")
        return 0

    def _sweep(self, child: Child) -> None:
        """End what the child has started itself and left behind, and close its lifeline."""
        if child.process is not None:
            _kill_group(child.process.pid)
            if child.process.stdin is not None:
                child.process.stdin.close()
            child.process = None

    # ── the end ─────────────────────────────────────────────────────────────────

    def _end_all(self) -> None:
        for child in reversed(self._children):
            process = child.process
            if process is None:
                continue
            self._tell(f"Stopping {child.name}")
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            if not self._gone_within(process, child.grace):
                self._tell(f"{child.name} did not stop: killing it.")
                _kill_group(process.pid)
                process.wait()
            self._sweep(child)

    def _gone_within(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        give_up_at = time.monotonic() + seconds
        while process.poll() is None:
            if time.monotonic() > give_up_at or self._signals > 1:
                return False
            time.sleep(LOOK_EVERY / 2)
        return True

    @contextlib.contextmanager
    def _listening(self) -> Iterator[None]:
        before = {
            number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hear(self, *_: object) -> None:
        self._signals += 1
        self._stop.set()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
