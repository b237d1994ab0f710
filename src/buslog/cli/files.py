"""migrate, export, import: the schema, and what goes out of the log and into it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from buslog import db
from buslog.cli import filtering
from buslog.cli.common import as_configuration, examples, give, opened, say, silence_stdout, verbatim, wants_json
from buslog.desk import Actor
from buslog.history import import_history, read_lines

LINE_FORMAT = verbatim(
    "A line:",
    '  {"name": "Ship departed", "key": "S-42", "emitted_at": "2012-01-23T15:42:54.644+01:00", "payload": {...},',
    '   "kind": "event", "correlation_id": "<uuid>", "causation_id": "<uuid>",',
    '   "deliveries": [{"subscription": "mail:send", "state": "failed", "attempts": 8,',
    '                   "finished_at": "2012-01-23T15:50:00+01:00", "error_type": "TimeoutError", "error": "..."}]}',
)

SAY_EVERY = 5.0  # seconds, where there is no terminal to draw a bar on


@click.command(epilog=examples("BUSLOG_DSN=postgresql://app@db.example.com/app buslog migrate"))
def migrate() -> None:
    """Bring the database's schema to this build's version."""
    with opened(ready=False) as database:
        with as_configuration():
            before, after = db.migrate(database.dsn)
        said = f"schema {before or 'none'} → {after}" if before != after else f"schema {after}, nothing to do"
        give({"before": before, "after": after}, said)


@click.command(
    epilog=examples(
        "buslog export > log.csv",
        "buslog export --state failed --state retrying --from 2026-11-01 > failing.csv",
        "buslog export --key S-42 | head",
        "buslog export --view 'Carrier down' > failed.csv",
        "buslog export --format excel > failed.csv",
        "buslog export --format parquet > log.parquet",
    )
)
@filtering.options()
@click.option(
    "--format", "format_", type=click.Choice(["csv", "excel", "parquet"]), default="csv", show_default=True,
    help="excel: semicolons and a BOM, as a European Excel opens it.",
)  # fmt: skip
@click.pass_context
def export(ctx: click.Context, /, *, format_: str, **given: Any) -> None:
    """Write the log to stdout, newest first: the columns of the view buslog.log. Kept in the audit.

    Times are in UTC: ISO 8601; for Excel to the second. A text that a spreadsheet would take for a formula begins with
    an apostrophe. With --json each row is a JSON object on a line of its own, and its texts are as they are. A CSV that
    was cut off says so in its last line; a Parquet file that was cut off cannot be read.
    """
    from buslog.export import Exports, Format  # noqa: PLC0415  (SQLAlchemy takes half a second to import)

    if wants_json() and ctx.get_parameter_source("format_") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--json is a format of its own: leave --format out.")
    chosen = Format.JSON if wants_json() else Format(format_)
    with (
        opened() as database,
        closing(
            Exports(database.dsn, Actor.local("cli")).export(filtering.filter_of(database.dsn, given), chosen)
        ) as chunks,
    ):
        try:
            _write(chunks)
        except BrokenPipeError:
            silence_stdout()


def _write(chunks: Iterable[bytes]) -> None:
    out = sys.stdout.buffer
    with _bar("exporting", None, shown=not sys.stdout.isatty()) as bar:
        for chunk in chunks:
            out.write(chunk)
            bar.advance(len(chunk))
        out.flush()


@click.command(
    "import",
    epilog=LINE_FORMAT
    + "\n\n"
    + examples("buslog import history.jsonl", "gunzip -c history.jsonl.gz | buslog import -"),
)
@click.argument("file", type=click.File("rb"))
def import_(file: IO[bytes]) -> None:
    """Take over an existing history from FILE (JSON Lines; - is stdin), all of it or nothing.

    Each line is a message as it was: it keeps its own time and is never executed.

    name, emitted_at and payload must be there. Times need an offset. The states are final: succeeded, failed,
    cancelled. A bad line is named with its number, and nothing is imported.

    A line is recognised by what it says: its emitted_at and a hash of its content (order of fields and spacing
    aside). So importing a file twice adds nothing, a longer file adds its new lines, and a line that differs in any
    field is another message.
    """
    name = "stdin" if file is sys.stdin.buffer else os.path.basename(file.name)  # noqa: PTH119  (it may be a number)
    with opened() as database, _bar("reading", _size(file)) as bar:
        report = import_history(
            database.dsn, _counted(read_lines(file), bar), Actor.local("cli"), origin=name, progress=bar.tell
        )
    document = {
        "added": report.added, "known": report.known, "lines": report.lines, "first": report.first, "last": report.last
    }  # fmt: skip
    give(document, f"added {report.added}, known {report.known}")
    if report.first and report.last:
        say(f"{report.lines} lines from {report.first.isoformat()} to {report.last.isoformat()}")


def _size(file: IO[bytes]) -> int | None:
    try:
        return os.fstat(file.fileno()).st_size or None
    except OSError:
        return None


def _counted(lines: Iterable[bytes], bar: _Bar) -> Iterator[bytes]:
    for line in lines:
        bar.advance(len(line))
        yield line


# ── progress, on stderr ─────────────────────────────────────────────────────────


class _Bar:
    """A bar on a terminal; elsewhere a line now and then."""

    def __init__(self, step: str, progress: Progress | None, total: int | None) -> None:
        self._step, self._progress, self._bytes = step, progress, 0
        self._task = progress.add_task(step, total=total) if progress else None
        self._said_at = time.monotonic()

    def advance(self, size: int) -> None:
        self._bytes += size
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, size)
        elif time.monotonic() - self._said_at > SAY_EVERY:
            self._said_at = time.monotonic()
            say(f"{self._step}: {self._bytes / 1e6:.1f} MB so far")

    def tell(self, step: str, lines: int) -> None:
        """Another step has begun, or gone on."""
        self._step = f"{step} {lines:,} lines"
        if self._progress is None or self._task is None:
            if step == "storing":
                say(self._step)
        elif step == "storing":  # how far the database is, it does not say
            self._progress.remove_task(self._task)
            self._task = self._progress.add_task(self._step, total=None)
        else:
            self._progress.update(self._task, description=self._step)


@contextmanager
def _bar(step: str, total: int | None, *, shown: bool = True) -> Iterator[_Bar]:
    if not (shown and sys.stderr.isatty()) or wants_json():
        yield _Bar(step, None, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(step, progress, total)
