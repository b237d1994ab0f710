"""The benchmarks run: in seconds, with our own subjects, judging no speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import harness, results, targets

ROOT = Path(__file__).parents[2]
OWN = {
    "emit_1": {"buslog", "limit"},
    "emit_64": {"buslog", "limit"},
    "emit_bulk": {"buslog", "limit"},
    "drain": {"buslog", "limit"},
    "latency_remote_p50": {"buslog", "limit"},
    "latency_remote_p99": {"buslog", "limit"},
    "latency_local_p50": {"buslog", "commit"},
    "pinned_horizon": {"buslog"},
    "drain_big_log": {"buslog"},
    "worker_memory": {"buslog"},
}
OF_THE_DASHBOARD = {
    "browse_failed": {"buslog", "limit"},
    "browse_key": {"buslog", "limit"},
    "browse_name": {"buslog", "limit"},
    "page_2001": {"buslog", "limit"},
    "chart_24h": {"buslog", "limit"},
    "chart_90d": {"buslog", "limit"},
    "page_click": {"buslog", "streamlit"},
    "page_cold": {"buslog", "streamlit"},
    "export_csv": {"buslog", "psql"},
    "export_first_byte": {"buslog"},
    "export_memory": {"buslog"},
    "replay_accepted": {"buslog"},
    "replay_10k": {"buslog"},
    "replay_rate": {"buslog"},
    "sessions_50": {"buslog"},
    "sessions_page": {"buslog"},
    "fold": {"buslog"},
}
MAY_BE_NOTHING = {"worker_memory", "export_memory"}
OF_ANOTHER_TARGET = {"work": "page_load", "subject": "buslog", "median": 1.5, "spread": 0.1, "unit": "s", "runs": 3}
OF_A_RUN_BEFORE = {
    of: {"work": work, "subject": "buslog", "median": 0.001, "spread": 0, "unit": "deliveries/s", "runs": 3}
    for of, work in (("bus", "drain"), ("dashboard", "replay_10k"))
}


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments, "--short"],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=540, check=False,
    )  # fmt: skip


def rows_in(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("of", "works"), [("bus", OWN), ("dashboard", OF_THE_DASHBOARD)])
def test_every_work_is_measured_and_the_rows_of_other_targets_stay(
    of: str, works: dict[str, set[str]], tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([OF_ANOTHER_TARGET, OF_A_RUN_BEFORE[of]]), encoding="utf-8")
    done = bench(of, "--subjects", *set().union(*works.values()), "--results", str(path))
    assert done.returncode == 0, done.stderr

    rows = rows_in(path)
    assert rows[0] == OF_ANOTHER_TARGET
    ours = rows[1:]
    assert {work: {row["subject"] for row in ours if row["work"] == work} for work in works} == works
    assert len(ours) == sum(map(len, works.values()))
    assert [row for row in ours if not isinstance(row["median"], float) or row["runs"] != 1] == []
    assert [row for row in ours if row["work"] not in MAY_BE_NOTHING and row["median"] <= 0.001] == []
    assert all(f"{work} " in done.stdout for work in works)
    assert "buslog ÷ limit" in done.stdout
    assert "judges no speed" in done.stdout
    assert "met" not in done.stdout


def test_a_subject_that_cannot_be_had_is_absent_by_name(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    done = bench("--only", "drain", "--subjects", "bullmq", "--results", str(path), PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    (row,) = rows_in(path)
    assert (row["subject"], row["median"], row["runs"]) == ("bullmq", None, 0)
    assert row["absent"].endswith("not installed")
    assert "absent" in done.stdout


def test_a_subject_that_fails_stops_no_other() -> None:
    def run_once(_: harness.Bench, subject: harness.Subject) -> dict[str, float]:
        if subject.name == "limit":
            raise harness.RunFailed("limit drain ended with 1")
        return {"drain": next(figures)}

    figures = iter([3.0, 1.0, 2.5])
    bench = harness.Bench(harness.SHORT)
    try:
        rows = harness.measure(bench, harness.Work({"drain": "/s"}, (), run_once), ["limit", "buslog"], runs=3)
    finally:
        bench.stop()
    assert rows == [
        results.Row("drain", "limit", None, None, "/s", 0, "limit drain ended with 1"),
        results.Row("drain", "buslog", 2.5, 2.0, "/s", 3),
    ]


@pytest.mark.parametrize(
    ("ours", "theirs", "work", "against", "met"),
    [
        (750.0, 1000.0, "emit_1", "limit", True),
        (749.0, 1000.0, "emit_1", "limit", False),
        (1.4, 1.0, "latency_local_p50", "commit", True),
        (1.6, 1.0, "latency_local_p50", "commit", False),
        (750.0, None, "emit_1", "limit", None),
    ],
)
def test_a_ratio_is_judged_against_the_same_run(
    ours: float, theirs: float | None, work: str, against: str, met: bool | None
) -> None:
    verdicts = targets.judge({(work, "buslog"): ours, (work, against): theirs}, [work])
    assert next(verdict.met for verdict in verdicts if verdict.target.against == against) is met
