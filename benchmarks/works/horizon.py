"""pinned_horizon: what a claim takes while somebody holds a snapshot open, last quarter ÷ first quarter."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from benchmarks.harness import Bench, RunFailed, Subject, Work
from buslog import db

DRAIN_SECONDS = 5.0
DRAINED = 200  # deliveries on their way at any moment are no backlog


def measure(bench: Bench, subject: Subject) -> Mapping[str, float]:
    where, seconds = bench.where(subject), bench.scale.horizon_seconds
    load = {**where, "rate": bench.scale.horizon_rate, "seconds": seconds}
    with (
        bench.running(subject, "claims", {**where, "seconds": seconds + DRAIN_SECONDS}) as worker,
        db.connect(where["dsn"]) as report,
    ):
        report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        report.execute("SELECT count(*) FROM buslog.deliveries")
        bench.run(subject, "pace", load)
        answer = worker.answer()
    if answer["backlog"] > DRAINED:
        raise RunFailed(f"{answer['backlog']} deliveries were left behind")
    return {"pinned_horizon": growth(answer["claims"], seconds)}


def growth(claims: list[tuple[float, float]], seconds: float) -> float:
    """claims: (moment in s, duration in ms). The p50 of the last quarter ÷ the p50 of the first."""
    began = claims[0][0]
    first = [took for at, took in claims if at < began + seconds / 4]
    last = [took for at, took in claims if began + seconds * 3 / 4 <= at < began + seconds]
    return median(last) / median(first)


WORKS = (Work({"pinned_horizon": "×"}, ("buslog",), measure),)
