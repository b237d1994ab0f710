"""browse_…, page_2001, fold, chart_…: the dashboard's reads on the generated log, against bare queries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from statistics import median

from benchmarks.generated_log import KEYS
from benchmarks.harness import Bench, RunFailed, Subject, Work
from benchmarks.works.latency import percentile
from buslog import db

FAR = 100_000  # rows before the 2,001st page
CHARTS = {"chart_24h": (24, 60), "chart_90d": (24 * 90, 3600)}  # hours, and seconds of a bucket


def reader(subject: Subject) -> Subject:
    """The script that reads: buslog's dashboard has one of its own."""
    return Subject(subject.name, "on_dashboard.py" if subject.name == "buslog" else subject.script)


def measure_browse(bench: Bench, subject: Subject) -> Mapping[str, float]:
    keys = [f"S-{n}" for n in range(0, KEYS, KEYS // 997)]
    with db.connect(bench.log.dsn) as connection:
        row = connection.execute(
            "SELECT id::text FROM buslog.messages ORDER BY id DESC OFFSET %s LIMIT 1",
            (min(FAR, bench.scale.logged // 2),),
        ).fetchone()
    assert row is not None
    options = {"dsn": bench.log.dsn, "times": bench.scale.looks, "keys": keys, "far": row[0]}
    found = {which: percentile(times, 0.95) for which, times in bench.run(reader(subject), "browse", options).items()}
    return {
        **{f"browse_{which}": found[which] for which in ("failed", "key", "name")},
        "page_2001": found["far"] / found["first"],
    }


def measure_fold(bench: Bench, _: Subject) -> Mapping[str, float]:
    """Once, when the log was made."""
    assert bench.log.dsn
    return {"fold": bench.scale.logged / bench.log.folded}


def measure_charts(bench: Bench, subject: Subject) -> Mapping[str, float]:
    """Median of each. Fails the run unless they show exactly what there is."""
    with db.connect(bench.log.dsn) as connection:
        row = connection.execute("SELECT max(emitted_at) FROM buslog.messages").fetchone()
    assert row is not None
    until: datetime = row[0].replace(minute=0, second=0, microsecond=0)  # whole buckets for all
    options = {
        "dsn": bench.log.dsn, "until": until.isoformat(), "charts": CHARTS, "times": max(bench.scale.looks // 20, 3),
    }  # fmt: skip
    answer = bench.run(reader(subject), "chart", options)
    for chart, (hours, _) in CHARTS.items():
        there_are = bench.kept.setdefault(chart, counts(bench.log.dsn, until, hours))
        if (shown := answer["sums"][chart]) != there_are:
            raise RunFailed(
                f"{chart} of {subject.name} shows {json.dumps(shown)}, and there are {json.dumps(there_are)}"
            )
    return {chart: median(latencies) for chart, latencies in answer["latencies"].items()}


def counts(dsn: str, until: datetime, hours: int) -> dict[str, int]:
    """What there is, of the tables themselves."""
    with db.connect(dsn) as connection:
        row = connection.execute(
            """WITH bounds AS MATERIALIZED (
                   SELECT buslog.id_floor(%(until)s::timestamptz - interval '1 hour' * %(hours)s) AS low,
                          buslog.id_floor(%(until)s::timestamptz) AS high)
               SELECT (SELECT count(*) FROM buslog.messages, bounds WHERE id >= low AND id < high),
                      (SELECT count(*) FROM buslog.ended_deliveries, bounds
                       WHERE message_id >= low AND message_id < high AND state = 'failed' AND latest),
                      (SELECT count(*) FROM buslog.attempts, bounds WHERE message_id >= low AND message_id < high)""",
            {"until": until, "hours": hours},
        ).fetchone()
    assert row is not None
    return dict(zip(("messages", "failures", "errors"), row, strict=True))


WORKS = (
    Work(
        {"browse_failed": "ms", "browse_key": "ms", "browse_name": "ms", "page_2001": "×"}, ("buslog", "limit"),
        measure_browse,
    ),
    Work({"fold": "messages/s"}, ("buslog",), measure_fold),
    Work(dict.fromkeys(CHARTS, "ms"), ("buslog", "limit"), measure_charts),
)  # fmt: skip
