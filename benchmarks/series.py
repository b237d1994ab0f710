"""How long charts take on a large log, and how long its first fold: `python -m benchmarks.series --messages 10000000`.

40 names, 500,000 keys, one subscription a name, over 90 days up to now; 97 % succeeded, 2 % failed, 1 % cancelled, and
an error for one delivery in twenty.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, LiteralString

from buslog import db
from buslog.embedded import EmbeddedServer
from buslog.filter import Filter, Range
from buslog.folding import FOLD_BATCH
from buslog.insights import Insights, rollup
from buslog.insights.rollup import HOUR, MINUTE
from buslog.message import State

STEP = 20_000  # messages a transaction
TIMES = 11

NAMES: LiteralString = """
    SELECT buslog.register('subscriber' || n, ARRAY['name' || n], 'event', '{}', NULL, '', 'bench')
    FROM generate_series(0, 39) AS n"""
FILL: LiteralString = """
    WITH said AS MATERIALIZED (
        SELECT buslog.new_id(at) AS id, at, n, (n * 7919) %% 40 AS name, (n * 104729) %% 100 AS lot,
               at + interval '1 ms' * power(10, random() * 4) AS ended
        FROM (SELECT n, now() - interval '90 days' * (1 - n / %(count)s::float8) AS at
              FROM generate_series(%(first)s::bigint, %(last)s) AS n) AS t
    ), stored AS (
        INSERT INTO buslog.messages (id, kind, routed, emitted_at, correlation_id, name, key, source, payload)
        SELECT id, 'event', 1, at, id, 'name' || name, 'S-' || n %% 500000, 'bus',
               jsonb_build_object('shipmentId', 'S-' || n %% 500000)
        FROM said
    ), raised AS (
        INSERT INTO buslog.attempts (message_id, subscription_id, generation, attempt, started_at, finished_at, worker,
                                     code_version, error_type, error)
        SELECT id, name + 1, 1, 1, at, ended, 'host:1', 'bench', 'CarrierTimeout', 'no answer' FROM said WHERE lot < 5
    )
    INSERT INTO buslog.ended_deliveries (message_id, subscription_id, generation, attempts, repeats, state, started_at,
                                         finished_at, worker)
    SELECT id, name + 1, 1, 1, 0,
           (CASE WHEN lot < 2 THEN 'failed' WHEN lot < 3 THEN 'cancelled' ELSE 'succeeded' END)::buslog.state,
           at, ended, 'host:1'
    FROM said"""


def make_log(connection: db.Connection, count: int) -> None:
    """The log, as if no worker had ever folded it."""
    connection.execute("SELECT buslog.ensure_partitions(now() - interval '91 days', now())")
    connection.execute(NAMES)
    connection.execute("SET synchronous_commit = off")
    for first in range(1, count + 1, STEP):
        connection.execute(FILL, {"first": first, "last": min(first + STEP - 1, count), "count": count})
        if first % 1_000_000 == 1:
            say(f"{first:,} messages")
    connection.execute("VACUUM (ANALYZE) buslog.messages, buslog.ended_deliveries, buslog.attempts")
    connection.execute("CHECKPOINT")


def fold(connection: db.Connection) -> tuple[float, float]:
    """Seconds until all is folded, and the longest batch."""
    began, longest = time.perf_counter(), 0.0
    more = True
    while more:
        start = time.perf_counter()
        row = connection.execute("SELECT buslog.fold_series(%s)", [FOLD_BATCH]).fetchone()
        longest = max(longest, time.perf_counter() - start)
        more = bool(row and row[0])
    return time.perf_counter() - began, longest


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
    parser.add_argument("--home", type=Path, help="where the database lies, and stays")
    given = parser.parse_args()
    home = given.home or Path(tempfile.mkdtemp(prefix="buslog-series-"))
    server = EmbeddedServer(home / ".buslog", 18)
    dsn = server.acquire()
    try:
        db.migrate(dsn)
        with db.connect(dsn) as connection:
            row = connection.execute("SELECT EXISTS (SELECT FROM buslog.messages)").fetchone()
            if not (row and row[0]):
                start = time.perf_counter()
                make_log(connection, given.messages)
                say(f"made in {time.perf_counter() - start:.0f} s")
            connection.execute("DELETE FROM buslog.series")
            connection.execute("DELETE FROM buslog.series_durations")
            connection.execute("UPDATE buslog.series_state SET seen = NULL, server = NULL")
            whole, longest = fold(connection)
            say(f"folded in {whole:.1f} s, the longest batch of {FOLD_BATCH:,} took {longest * 1000:.0f} ms")
            connection.execute("VACUUM (ANALYZE) buslog.series, buslog.series_durations")
            rows = connection.execute(
                """SELECT width, count(*), pg_size_pretty(pg_total_relation_size('buslog.series'))
                   FROM buslog.series GROUP BY 1"""
            ).fetchall()
            say(f"rows by width, and their size: {sorted(rows)}")
        measure(dsn)
    finally:
        server.release()


if __name__ == "__main__":
    main()
