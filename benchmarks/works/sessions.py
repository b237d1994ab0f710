"""sessions_50: what 50 sessions that look at the Overview cost the bus, and how long their page takes."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.harness import Bench, Running, Subject, Work
from benchmarks.works.browsing import reader
from benchmarks.works.latency import percentile
from benchmarks.works.pages import served
from benchmarks.works.replaying import wait


def measure(bench: Bench, subject: Subject) -> Mapping[str, float]:
    dsn, ours = bench.log.copied(), reader(subject)
    options = {"dsn": dsn, "count": bench.scale.drained_beside}

    def rate() -> float:
        wait(dsn, options["count"])
        return float(bench.run(ours, "drain", options)["rate"])

    alone = rate()
    with served(bench, subject, dsn) as (address, _):
        looking = {"address": address, "sessions": bench.scale.sessions}
        with bench.running(Subject(subject.name, "sessions.py"), "look", looking) as sessions:
            beside = rate()
            latencies = told(sessions)
    return {"sessions_50": beside / alone, "sessions_page": percentile(latencies, 0.95)}


def told(sessions: Running) -> list[float]:
    sessions.process.terminate()
    latencies: list[float] = sessions.answer()["latencies"]
    return latencies


WORKS = (Work({"sessions_50": "×", "sessions_page": "ms"}, ("buslog",), measure),)
