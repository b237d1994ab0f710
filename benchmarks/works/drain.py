"""drain: deliveries a second of one worker process, from its first start to its last settle."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import Bench, Subject, Work


def drain_rate(bench: Bench, subject: Subject, where: Mapping[str, str]) -> float:
    """Fill, then drain."""
    options = {**where, "count": bench.scale.drained}
    bench.run(subject, "fill", options)
    return float(bench.run(subject, "drain", options)["rate"])


def measure(bench: Bench, subject: Subject) -> Mapping[str, float]:
    return {"drain": drain_rate(bench, subject, bench.where(subject))}


WORKS = (
    Work(
        {"drain": "deliveries/s"},
        ("buslog", "limit", "procrastinate", "pgqueuer", "celery", "dramatiq", "bullmq"),
        measure,
    ),
)
