"""Runs the subjects of a work in turn (A B C, A B C, …), so that a drift of the machine hits all alike."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

from benchmarks.environments import ENVIRONMENTS, HERE, Absent, interpreter, say
from benchmarks.generated_log import GeneratedLog
from benchmarks.results import Row
from benchmarks.services import Services
from buslog.filter import Range

TIMEOUT = 1200.0  # seconds a script may run
START_TIMEOUT = 60.0  # seconds until it says that it is ready


class RunFailed(Exception):
    """A subject that ended with an error; its own words went to standard error."""


@dataclass(frozen=True)
class Subject:
    """Something that is measured. `script` under subjects/; `peer`: whose environment; `template`: whose schema."""

    name: str
    script: str
    peer: str | None = None
    template: str | None = None
    redis: bool = False


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("buslog", "on_buslog.py", template="buslog"),
        Subject("limit", "on_limit.py", template="buslog"),
        Subject("commit", "on_limit.py", template="buslog"),
        Subject("procrastinate", "on_procrastinate.py", peer="procrastinate", template="procrastinate"),
        Subject("pgqueuer", "on_pgqueuer.py", peer="pgqueuer", template="pgqueuer"),
        Subject("dbos", "on_dbos.py", peer="dbos", template="dbos"),
        Subject("celery", "on_celery.py", peer="celery", redis=True),
        Subject("dramatiq", "on_dramatiq.py", peer="dramatiq", redis=True),
        Subject("bullmq", "on_bullmq.cjs", peer="bullmq", redis=True),
        Subject("streamlit", "on_streamlit.py"),
        Subject("psql", "on_psql.py"),
        Subject("bullboard", "on_bullboard.cjs", peer="bullboard", redis=True),
        Subject("flower", "on_flower.py", peer="flower", redis=True),
        Subject("rqdashboard", "on_rqdashboard.py", peer="rqdashboard", redis=True),
        Subject("datasette", "on_datasette.py", peer="datasette"),
    )
}


@dataclass(frozen=True)
class Work:
    """One or more rows measured together. `measure` does one run and returns a value for each of `rows`."""

    rows: Mapping[str, str]  # name → unit
    subjects: tuple[str, ...]
    measure: Callable[[Bench, Subject], Mapping[str, float]]


@dataclass(frozen=True)
class Scale:
    """How much of it: what a run is worth trusting for, or just enough to see that the harness works."""

    warm: float = 0.5
    seconds: float = 3.0
    drained: int = 20_000
    latencies: int = 100
    gap: float = 0.1
    horizon_seconds: float = 60.0
    horizon_rate: int = 3_000
    logged: int = 10_000_000
    remembered: tuple[int, int] = (100_000, 1_000_000)
    looks: int = 200  # of each query
    clicks: int = 8  # of each kind, on each page
    loads: int = 5  # in a cold browser
    exported: int = 1_000_000
    replayed: int = 10_000
    dead: int = 100_000  # failed, of each queue's dashboard
    tabled: int = 1_000_000  # rows of Datasette's table
    sessions: int = 50
    drained_beside: int = 200_000
    range: str = "24h"  # of the pages
    filters: tuple[Range, ...] = (Range.WEEK, Range.DAY)  # that a page is switched to


SHORT = Scale(
    warm=0.1, seconds=0.3, drained=200, latencies=5, gap=0.02, horizon_seconds=2.0, horizon_rate=200, logged=2_000,
    remembered=(200, 1_000), looks=20, clicks=1, loads=1, exported=1_000, replayed=20, dead=200, tabled=1_000,
    sessions=3, drained_beside=200, range="all", filters=(Range.WEEK,),
)  # fmt: skip


class Bench:
    """What a work measures with: fresh databases, the generated log, and the subjects' scripts."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.services = Services()
        kept = os.environ.get("BENCH_LOG")
        self.log = GeneratedLog(scale.logged, Path(kept) if kept and scale is not SHORT else self.services.folder)
        self.kept: dict[str, Any] = {}  # what a work keeps from run to run
        self._templates: set[str] = set()

    def where(self, subject: Subject, database: str = "") -> dict[str, str]:
        """Options of a fresh database, or an empty Redis, for one run. Raises `Absent`."""
        if subject.redis:
            return {"redis": self.services.redis()}
        assert subject.template is not None
        if subject.template not in self._templates:
            interpreter(subject.peer)
            maker = SUBJECTS[subject.template]
            self.run(maker, "prepare", {"dsn": self.services.create(f"template_{subject.template}")})
            self._templates.add(subject.template)
        return {"dsn": self.services.create(database or database_of(subject), f"template_{subject.template}")}

    def stop(self) -> None:
        self.log.stop()
        self.services.stop()

    def finish(self, subject: Subject) -> None:
        """The end of a subject's turn."""
        if subject.template is not None and subject.template in self._templates:
            self.services.drop(database_of(subject))

    def run(self, subject: Subject, verb: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Run a verb of a subject's script to its end; returns its answer. Raises `RunFailed`."""
        started = self._start(subject, verb, options)
        try:
            return started.answer()
        finally:
            started.end()

    @contextmanager
    def running(self, subject: Subject, verb: str, options: Mapping[str, Any]) -> Iterator[Running]:
        """The same in the background, from the moment it says that it is ready."""
        started = self._start(subject, verb, options)
        try:
            started.wait_until_ready()
            yield started
        finally:
            started.end()

    def _start(self, subject: Subject, verb: str, options: Mapping[str, Any]) -> Running:
        command = [*interpreter(subject.peer), str(HERE / "subjects" / subject.script), verb, json.dumps(options)]
        words = (self.services.folder / f"{subject.name}-{verb}.log").open("w+", encoding="utf-8")
        process = subprocess.Popen(
            command, env=_environment(subject), stdout=subprocess.PIPE, stderr=words, text=True
        )  # fmt: skip
        return Running(f"{subject.name} {verb}", process, words)


@dataclass(frozen=True)
class Running:
    """A script under way; `words` is its standard error."""

    name: str
    process: subprocess.Popen[str]
    words: IO[str]

    def wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        too_late = threading.Timer(START_TIMEOUT, self.process.kill)
        too_late.start()
        for line in self.process.stdout:
            if line.strip() == "ready":
                too_late.cancel()
                return
        too_late.cancel()
        raise self._failed("did not get ready")

    def answer(self) -> dict[str, Any]:
        """The last JSON object that it printed, once it has ended. Raises `RunFailed`."""
        try:
            output, _ = self.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise self._failed("took too long") from None
        if self.process.returncode:
            raise self._failed(f"ended with {self.process.returncode}")
        lines = [line for line in output.splitlines() if line.startswith("{")]
        answer: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        return answer

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.words.close()

    def _failed(self, how: str) -> RunFailed:
        """Its last words go to standard error and not into a row: they may hold paths."""
        self.words.seek(0)
        say(self.words.read()[-2000:])
        return RunFailed(f"{self.name} {how}")


def database_of(subject: Subject) -> str:
    return f"bench_{subject.name}"


def _environment(subject: Subject) -> dict[str, str]:
    """Ours finds this repository's buslog; a peer's environment is its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BUSLOG_")}
    environment["PYTHONPATH"] = str(HERE.parent / "src") if subject.peer is None else ""
    environment["NODE_PATH"] = str(ENVIRONMENTS / (subject.peer or "") / "node_modules")
    return environment


def measure(bench: Bench, work: Work, subjects: list[str], runs: int) -> list[Row]:
    """The rows of a work: median and spread of so many runs. Of a subject that fails or is absent, the row says so."""
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in subjects}
    missing: dict[str, str] = {}
    for turn in range(runs):
        for name in subjects:
            if name in missing:
                continue
            try:
                values = work.measure(bench, SUBJECTS[name])
            except (Absent, RunFailed) as error:
                missing[name] = str(error)
                say(f"  {name}: {missing[name]}")
                continue
            finally:
                bench.finish(SUBJECTS[name])
            found[name].append(values)
            told = ", ".join(f"{row} {value:,.2f}" for row, value in values.items())
            say(f"  run {turn + 1}: {name}: {told}")
    rows = []
    for name in subjects:
        for row, unit in work.rows.items():
            if name in missing:
                rows.append(Row(row, name, None, None, unit, 0, missing[name]))
            else:
                values_of_row = [values[row] for values in found[name]]
                spread = max(values_of_row) - min(values_of_row)
                rows.append(Row(row, name, float(median(values_of_row)), spread, unit, runs))
    return rows
