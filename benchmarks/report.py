"""The tables: on the terminal after a run, and `docs/benchmarks.md` from `results.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.targets import SUBJECT, Verdict, judge

Rows = Sequence[Mapping[str, Any]]

INTRODUCTION = """\
# Benchmarks

buslog side by side with what a Python team would pick instead, and with the least that PostgreSQL and its driver could
do (`limit`). Written by `make bench` and `make bench-dashboard` from `benchmarks/results.json`; do not edit.
`make bench ONLY="drain emit_1"` runs some of it, `make bench-short` and `make bench-dashboard-short` show in seconds
that the harness works and judge no speed.

Trust the ratios, not the figures: the subjects of a work take turns on one machine in one run, three times, and the
median is shown with the spread (the largest run less the smallest).
"""

RULES = """\
## How it is measured

- Every subject runs in a process, and on a database, of its own, made anew for each run, after a checkpoint. All
  PostgreSQL subjects use one server with its defaults. Peers are installed by package name with pinned versions
  (`benchmarks/peers/`), each in its own environment. The Redis they use writes nothing to disk, which flatters them.
- A message is a JSON object of about 330 bytes. *Durable*: the call returned after the commit.
- `emit_1`, `emit_64`: one caller, or 64 in one process, each emitting one message after another; 1 subscription.
  `emit_bulk`: one caller, 100 messages a call. Peers with a pool may use 20 connections.
- `drain`: 20,000 deliveries wait; a worker process with a no-op asynchronous subscriber takes them. The clock runs from
  the first start to the last settle. Workers may take 100 at once where they can be told (buslog's `concurrency`,
  PgQueuer's `batch_size`, Procrastinate's and BullMQ's `concurrency`, Celery's prefetch with its `solo` pool);
  Dramatiq has its eight threads.
- `latency_…`: from the call of emit to the subscriber's start, 10 a second at random moments, 100 of them a run.
  *local*: the subscriber runs in the emitting process; `commit` is one commit of a message and a delivery.
- `limit`: buslog's own tables with their indexes, bare statements with binary arrays; no checks, no fan-out, no
  decoding. For `emit_64` a group commit in the client, for `drain` a claim and a settle loop on two connections, for
  `latency_remote_…` LISTEN and a claim.
- `pinned_horizon`: 3,000 deliveries a second for 60 s while a snapshot is held open; the p50 of a claim in the last
  quarter ÷ in the first. A backlog at the end fails the run.
- `drain_big_log`: `drain` with 10 million ended deliveries in the month being written ÷ `drain` on an empty log,
  alternating. `worker_memory`: resident memory at the 1,000,000th delivery less that at the 100,000th.

### The dashboard

- The log: 10 million messages over 90 days up to now, 40 names (Zipf), 500,000 keys, payloads of 300 bytes; one
  delivery each, 97 % succeeded, 2 % failed, 1 % cancelled, an error for one in twenty; folded. What writes works on a
  copy of it. `BENCH_LOG=folder` keeps it for a second run within a day.
- `browse_…`: the latest 50 that have failed, of a random key, of a random name: 200 looks each by `Insights.page`, p95.
  `limit` is one bare prepared query for the same columns. `page_2001`: p95 of the 2,001st page ÷ that of the first.
- `fold`: the whole log folded into the series that charts read, once, when it was made.
- `chart_…`: the last 24 hours by minute, the last 90 days by hour, median; `limit` counts them from the log. A chart
  that is not exact to the counts of the tables fails the run.
- `page_click`: into every page by its menu (or, where it has no place there, by Back), and to another range of time
  where a page has one. From the click, in Chromium, to the last change of the page, its script having run and nothing
  having changed for 300 ms; p95. `streamlit`: a page of one query, one table and one button, under `streamlit run`.
- `page_cold`: from the request, in a browser with a cold cache, until the table of failures is drawn (ours: all
  deliveries of the page Failures); median of 5 loads from a server that has been loaded from once. The queues'
  dashboards have 100,000 failed ones, Datasette 1,000,000 rows in SQLite. Flower lists all tasks; it has heard of none
  but failed ones.
- `export_…`: the newest million rows as CSV. Ours through the route, newest first; `psql` by `\\copy` of `buslog.log`
  in no order, to nowhere. `export_memory`: the most that the dashboard's resident memory grew by.
- `replay_…`: the 10,000 oldest failed ones as a stored run without canary and undo, one worker waiting.
  `replay_accepted`: preview and start, or the answer to *retry all*. `replay_10k`: from the same moment to the last
  settle. `replay_rate`: 10,000 ÷ the time from the answer that the run is started to the last settle ÷ what the same
  worker drains a second from 10,000 that wait. The peers' workers are BullMQ's, 100 at once, and RQ's `SimpleWorker`.
- `sessions_50`: 50 sessions open on the Overview, refreshing as it asks for; 200,000 deliveries drained beside them ÷
  without them. Sessions are websockets that speak Streamlit's protocol: so many Chromium tabs would measure Chromium.
  `sessions_page`: from asking for a refresh to the end of its script, p95.
"""


def figures(rows: Rows, works: Sequence[str]) -> list[tuple[str, ...]]:
    """Cells of the table of figures, work by work: fastest peers as they come, buslog first."""
    cells: list[tuple[str, ...]] = []
    for work in works:
        of_work = [row for row in rows if row["work"] == work]
        ours = next((row["median"] for row in of_work if row["subject"] == SUBJECT), None)
        for row in of_work:
            if row["median"] is None:
                cells.append((work, row["subject"], "absent", "", row.get("absent", ""), "0", ""))
                continue
            ratio = "" if not ours or row["subject"] == SUBJECT or not row["median"] else f"{ours / row['median']:.2f}"
            cells.append(
                (
                    work,
                    row["subject"],
                    number(row["median"]),
                    number(row["spread"]),
                    row["unit"],
                    str(row["runs"]),
                    ratio,
                )
            )
    return cells


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def of_terminal(rows: Rows, works: Sequence[str], *, judged: bool) -> str:
    """What a run prints at its end; of a short one the ratios are told, and not judged."""
    lines = [f"{'work':<20}{'subject':<15}{'median':>10}  {'spread':<12}{'unit':<14}{'runs':>4}{'buslog ÷ it':>13}"]
    for work, subject, median, spread, unit, runs, ratio in figures(rows, works):
        lines.append(f"{work:<20}{subject:<15}{median:>10}  {spread:<12}{unit:<14}{runs:>4}{ratio:>13}")
    lines += ["", f"{'work':<20}{'ratio':<28}{'reached':>13}  {'to reach':<10}"]
    for verdict in verdicts(rows, works):
        work, what, reached, bound = verdict.cells
        if verdict.met is not None:
            lines.append(
                f"{work:<20}{what:<28}{reached:>13}  {bound:<10}{MARK[verdict.met] if judged else ''}".rstrip()
            )
    return "\n".join(lines if judged else [*lines, "A short run judges no speed."])


MARK = {True: "met", False: "not met", None: ""}


def verdicts(rows: Rows, works: Sequence[str]) -> list[Verdict]:
    return judge({(row["work"], row["subject"]): row["median"] for row in rows}, works)


def of_docs(rows: Rows, works: Sequence[str], machine: Sequence[tuple[str, str]]) -> str:
    """The page `docs/benchmarks.md`."""
    measured = [work for work in works if any(row["work"] == work for row in rows)]
    return "\n".join(
        [
            INTRODUCTION,
            "## The machine\n",
            table(("what", "which"), machine),
            "## Figures\n",
            table(("work", "subject", "median", "spread", "unit", "runs", "buslog ÷ it"), figures(rows, measured)),
            "## What was to be reached\n",
            table(
                ("work", "ratio", "reached", "to reach", ""),
                [(*verdict.cells, MARK[verdict.met]) for verdict in verdicts(rows, measured)],
            ),
            RULES,
        ]
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
