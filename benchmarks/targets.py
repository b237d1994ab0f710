"""What buslog's figures are to reach, each against another subject of the same run or by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SUBJECT = "buslog"
Medians = dict[tuple[str, str], float | None]


@dataclass(frozen=True)
class Target:
    """buslog's figure ÷ that of `against` (or less it, where `difference`) is at least, or at most, so much."""

    work: str
    against: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    difference: bool = False


TARGETS = (
    Target("emit_1", "limit", at_least=0.75),
    Target("emit_1", "procrastinate", at_least=1.0),
    Target("emit_1", "pgqueuer", at_least=1.0),
    Target("emit_1", "dbos", at_least=1.0),
    Target("emit_64", "limit", at_least=0.65),
    Target("emit_64", "procrastinate", at_least=8.0),
    Target("emit_64", "pgqueuer", at_least=8.0),
    Target("emit_64", "dbos", at_least=8.0),
    Target("emit_bulk", "limit", at_least=0.5),
    Target("emit_bulk", "procrastinate", at_least=4.0),
    Target("emit_bulk", "pgqueuer", at_least=1.0),
    Target("drain", "limit", at_least=0.6),
    Target("drain", "pgqueuer", at_least=1.5),
    Target("drain", "bullmq", at_least=1.0),
    Target("latency_remote_p50", "limit", at_most=1.3),
    Target("latency_remote_p50", "pgqueuer", at_most=1.0),
    Target("latency_local_p50", "commit", at_most=0.5, difference=True),
    Target("pinned_horizon", at_most=1.5),
    Target("drain_big_log", at_least=0.9),
    Target("worker_memory", at_most=20.0),
    Target("browse_failed", "limit", at_most=2.0),
    Target("browse_key", "limit", at_most=2.0),
    Target("browse_name", "limit", at_most=2.0),
    Target("page_2001", at_most=2.0),
    Target("chart_24h", at_most=20.0),
    Target("chart_90d", at_most=60.0),
    Target("page_click", "streamlit", at_most=300.0, difference=True),
    Target("page_cold", "streamlit", at_most=1.0),
    Target("page_cold", "bullboard", at_most=1.0),
    Target("export_csv", "psql", at_least=0.8),
    Target("export_first_byte", at_most=0.2),
    Target("export_memory", at_most=20.0),
    Target("replay_accepted", at_most=1.0),
    Target("replay_rate", at_least=0.8),
    Target("replay_10k", "bullboard", at_most=1.0),
    Target("sessions_50", at_least=0.95),
    Target("sessions_page", at_most=1000.0),
)


@dataclass(frozen=True)
class Verdict:
    """A target with what was reached; None where a figure is missing."""

    target: Target
    reached: float | None

    @property
    def met(self) -> bool | None:
        if self.reached is None:
            return None
        target = self.target
        return (target.at_least is None or self.reached >= target.at_least) and (
            target.at_most is None or self.reached <= target.at_most
        )

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """work, what, reached, to reach."""
        target = self.target
        what = SUBJECT
        if target.against:
            what = f"{SUBJECT} {'−' if target.difference else '÷'} {target.against}"
        bound = f"≥ {target.at_least:g}" if target.at_least is not None else f"≤ {target.at_most:g}"
        reached = "not measured" if self.reached is None else f"{self.reached:.2f}"
        return target.work, what, reached, bound


def judge(medians: Medians, works: Sequence[str]) -> list[Verdict]:
    """The verdicts on the targets of the given works."""
    return [Verdict(target, _reached(target, medians)) for target in TARGETS if target.work in works]


def _reached(target: Target, medians: Medians) -> float | None:
    ours = medians.get((target.work, SUBJECT))
    if target.against is None or ours is None:
        return ours
    theirs = medians.get((target.work, target.against))
    if theirs is None:
        return None
    if target.difference:
        return ours - theirs
    return ours / theirs if theirs else None
