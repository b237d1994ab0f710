"""`python -m benchmarks` (`make bench`, `make bench-dashboard`): runs the works of the bus, or of the dashboard, prints
ratios, writes results.json and docs/benchmarks.md. Each keeps the other's rows.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from benchmarks import machine, report, results
from benchmarks.environments import HERE, say
from benchmarks.harness import SHORT, SUBJECTS, Bench, Scale, Work, measure
from benchmarks.works import (
    big_log,
    browsing,
    drain,
    emit,
    exporting,
    horizon,
    latency,
    memory,
    pages,
    replaying,
    sessions,
)

WORKS = {
    "bus": [work for room in (emit, drain, latency, horizon, big_log, memory) for work in room.WORKS],
    "dashboard": [work for room in (browsing, pages, exporting, replaying, sessions) for work in room.WORKS],
}
NAMES = list(dict.fromkeys(name for works in WORKS.values() for work in works for name in work.rows))
RESULTS = HERE / "results.json"
DOCS = HERE.parent / "docs" / "benchmarks.md"


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("of", nargs="?", choices=list(WORKS), default="bus", help="what is measured (bus)")
    parser.add_argument("--only", nargs="+", metavar="WORK", choices=NAMES, help=f"some works of {', '.join(NAMES)}")
    parser.add_argument("--subjects", nargs="+", metavar="SUBJECT", choices=list(SUBJECTS), help="only these")
    parser.add_argument("--runs", type=int, default=None, help="runs of each (3; with --short 1)")
    parser.add_argument("--short", action="store_true", help="seconds, to see that it works; judges and writes nothing")
    parser.add_argument(
        "--results", type=Path, help="where the rows go (benchmarks/results.json; with --short nowhere)"
    )
    return parser.parse_args()


def chosen(works: list[Work], only: list[str] | None) -> list[Work]:
    return [work for work in works if only is None or set(work.rows) & set(only)]


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is stopped, too
    arguments = read_arguments()
    path = arguments.results or (None if arguments.short else RESULTS)
    bench = Bench(SHORT if arguments.short else Scale())
    rows: list[results.Row] = []
    try:
        for work in chosen(WORKS[arguments.of], arguments.only):
            subjects = [name for name in work.subjects if not arguments.subjects or name in arguments.subjects]
            if not subjects:
                continue
            say(", ".join(work.rows))
            new = measure(bench, work, subjects, arguments.runs or (1 if arguments.short else 3))
            rows += new
            if path:
                merged = results.merge(path, new)
                if path == RESULTS:
                    DOCS.write_text(report.of_docs(merged, NAMES, machine.describe(bench.services)), encoding="utf-8")
    finally:
        bench.stop()
    sys.stdout.write(report.of_terminal([row.as_json() for row in rows], NAMES, judged=not arguments.short) + "\n")
    return 1 if any(row.subject == "buslog" and row.absent for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
