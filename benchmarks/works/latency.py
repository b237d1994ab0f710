"""latency_remote_…, latency_local_p50: milliseconds from the call of emit to the subscriber's start, 10 a second."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import Bench, Subject, Work


def percentile(values: list[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure_remote(bench: Bench, subject: Subject) -> Mapping[str, float]:
    options = {**bench.where(subject), "count": bench.scale.latencies, "gap": bench.scale.gap}
    with bench.running(subject, "receive", options) as worker:
        bench.run(subject, "send", options)
        latencies = worker.answer()["latencies"]
    return {"latency_remote_p50": percentile(latencies, 0.5), "latency_remote_p99": percentile(latencies, 0.99)}


def measure_local(bench: Bench, subject: Subject) -> Mapping[str, float]:
    options = {**bench.where(subject), "count": bench.scale.latencies, "gap": bench.scale.gap}
    return {"latency_local_p50": percentile(bench.run(subject, "local", options)["latencies"], 0.5)}


WORKS = (
    Work(
        {"latency_remote_p50": "ms", "latency_remote_p99": "ms"},
        ("buslog", "limit", "pgqueuer", "procrastinate", "celery", "bullmq"),
        measure_remote,
    ),
    Work({"latency_local_p50": "ms"}, ("buslog", "commit"), measure_local),
)
