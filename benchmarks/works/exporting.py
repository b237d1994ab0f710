"""export_…: a million rows as CSV through the dashboard's route, against psql's copy of the same."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from benchmarks.harness import Bench, RunFailed, Subject, Work
from benchmarks.works.pages import served
from buslog import db
from buslog.filter import Filter

ROUTE = "/export.csv"
CHUNK = 1 << 20
PAGE_SIZE = 4096


def measure(bench: Bench, subject: Subject) -> Mapping[str, float]:
    since, rows = newest(bench)
    if subject.name == "psql":
        answer = bench.run(subject, "export", {"dsn": bench.log.dsn, "since": since.isoformat()})
        check(subject, answer["rows"], rows)
        return {"export_csv": rows / answer["seconds"]}
    with served(bench, subject) as (address, server):
        fetch(address, Filter(since=since, key="nobody"))  # what a first export loads is not its growth
        with growth(server.process.pid) as grown:
            first_byte, seconds, found = fetch(address, Filter(since=since))
        check(subject, found, rows)
    return {"export_csv": rows / seconds, "export_first_byte": first_byte, "export_memory": grown[0]}


def check(subject: Subject, found: int, expected: int) -> None:
    if found != expected:
        raise RunFailed(f"{subject.name} exported {found} rows of {expected}")


def newest(bench: Bench) -> tuple[datetime, int]:
    """From when on so many were emitted, and how many there are."""
    with db.connect(bench.log.dsn) as connection:
        row = connection.execute(
            "SELECT emitted_at FROM buslog.messages ORDER BY id DESC OFFSET %s LIMIT 1", (bench.scale.exported - 1,)
        ).fetchone()
        assert row is not None
        since: datetime = row[0]
        count = connection.execute(
            "SELECT count(*) FROM buslog.messages WHERE id >= buslog.id_floor(%s)", (since,)
        ).fetchone()
    assert count is not None
    return since, count[0]


def fetch(address: str, filter_: Filter) -> tuple[float, float, int]:
    """Seconds to the first byte, and to the last; and rows."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=600)
    began = time.monotonic()
    connection.request("GET", f"{ROUTE}?{urlencode(filter_.to_params(), doseq=True)}")
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise RunFailed(f"the export was answered {answer.status}")
    chunk, lines, first = answer.read(1), 0, time.monotonic() - began
    while chunk:
        lines += chunk.count(b"\n")
        chunk = answer.read(CHUNK)
    seconds = time.monotonic() - began
    connection.close()
    return first, seconds, lines - 1


@contextmanager
def growth(pid: int) -> Iterator[list[float]]:
    """The most megabytes that a process's resident memory is above where it was; looked at 20 times a second."""
    before, grown, over = resident_mb(pid), [0.0], threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            grown[0] = max(grown[0], resident_mb(pid) - before)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield grown
    finally:
        over.set()
        looking.join()


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_SIZE / 1e6


WORKS = (
    Work({"export_csv": "rows/s"}, ("psql",), measure),
    Work({"export_csv": "rows/s", "export_first_byte": "s", "export_memory": "MB"}, ("buslog",), measure),
)
