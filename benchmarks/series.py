"""How long each chart takes on the generated log, and how long its first fold took, told and not kept:
`python -m benchmarks.series --messages 10000000`. The targets among them are works of `make bench-dashboard`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.generated_log import GeneratedLog
from buslog import db
from buslog.filter import Filter, Range
from buslog.insights import Insights, rollup
from buslog.insights.rollup import HOUR, MINUTE
from buslog.message import State

TIMES = 11


def reads(insights: Insights, now: datetime) -> Mapping[str, Callable[[], Any]]:
    day, quarter = Filter(range=Range.DAY), Filter(since=now - timedelta(days=90))

    def by(filter_: Filter, bucket: timedelta) -> Callable[[], Any]:
        def read() -> Any:
            with insights._reading() as connection:  # noqa: SLF001  (the buckets of the targets; pages choose their own)
                return rollup.counts(connection, filter_, now, bucket)

        return read

    return {
        "24 h by minute": by(day, MINUTE),
        "24 h by minute, one name": by(Filter(range=Range.DAY, names=("name7",)), MINUTE),
        "90 days by hour": by(quarter, HOUR),
        "90 days by hour, five names": by(
            Filter(since=now - timedelta(days=90), names=tuple(f"name{n}" for n in range(5))), HOUR
        ),
        "chart of 24 h": lambda: insights.series(day, now=now),
        "chart of 90 days": lambda: insights.series(quarter, now=now),
        "chart of all": lambda: insights.series(Filter(), now=now),
        "chart of all, one subscription": lambda: insights.series(Filter(subscription="subscriber7"), now=now),
        "chart of all that succeeded": lambda: insights.series(Filter(states=(State.SUCCEEDED,)), now=now),
        "overview, 24 h": lambda: insights.overview(day, now=now),
        "overview, 90 days": lambda: insights.overview(quarter, now=now),
        "by state, 24 h": lambda: insights.by_state(day, now=now),
        "by state, all": lambda: insights.by_state(Filter(), now=now),
        "subscribers, 24 h": lambda: insights.subscribers(day, now=now),
        "subscribers, 90 days": lambda: insights.subscribers(quarter, now=now),
    }


def measure(dsn: str) -> None:
    insights, now = Insights(dsn, statement_timeout_ms=60_000), datetime.now(UTC)
    for what, read in reads(insights, now).items():
        took = []
        for _ in range(TIMES):
            start = time.perf_counter()
            read()
            took.append((time.perf_counter() - start) * 1000)
        say(f"{what:34} p50 {statistics.median(took):7.1f} ms   first {took[0]:7.1f} ms   longest {max(took):7.1f} ms")
    insights.close()


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3_000_000)
    parser.add_argument("--home", type=Path, help="where the log lies, and stays for a day")
    given = parser.parse_args()
    log = GeneratedLog(given.messages, given.home or Path(tempfile.mkdtemp(prefix="buslog-series-")))
    try:
        dsn = log.dsn
        say(f"folded in {log.folded:.1f} s")
        with db.connect(dsn) as connection:
            rows = connection.execute(
                """SELECT width, count(*), pg_size_pretty(pg_total_relation_size('buslog.series'))
                   FROM buslog.series GROUP BY 1"""
            ).fetchall()
            say(f"rows by width, and their size: {sorted(rows)}")
        measure(dsn)
    finally:
        log.stop()


if __name__ == "__main__":
    main()
