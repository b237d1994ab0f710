"""emit_1, emit_64, emit_bulk: messages a second, each acknowledged when it is on disk."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import Bench, Subject, Work

BULK = 100


def emit_rate(bench: Bench, subject: Subject, callers: int) -> float:
    timing = {"callers": callers, "seconds": bench.scale.seconds, "warm": bench.scale.warm}
    return float(bench.run(subject, "emit", {**bench.where(subject), **timing})["rate"])


def measure_1(bench: Bench, subject: Subject) -> Mapping[str, float]:
    return {"emit_1": emit_rate(bench, subject, 1)}


def measure_64(bench: Bench, subject: Subject) -> Mapping[str, float]:
    return {"emit_64": emit_rate(bench, subject, 64)}


def measure_bulk(bench: Bench, subject: Subject) -> Mapping[str, float]:
    timing = {"size": BULK, "seconds": bench.scale.seconds, "warm": bench.scale.warm}
    return {"emit_bulk": bench.run(subject, "bulk", {**bench.where(subject), **timing})["rate"]}


PEERS = ("procrastinate", "pgqueuer", "dbos")
WORKS = (
    Work({"emit_1": "messages/s"}, ("buslog", "limit", *PEERS), measure_1),
    Work({"emit_64": "messages/s"}, ("buslog", "limit", *PEERS), measure_64),
    Work({"emit_bulk": "messages/s"}, ("buslog", "limit", "procrastinate", "pgqueuer"), measure_bulk),
)
