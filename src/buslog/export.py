"""The whole filtered set as a file: CSV, Excel's CSV, Parquet, JSON lines. Streamed straight out of PostgreSQL's COPY,
in flat memory; audited. CLI and dashboard export through it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, LiteralString

from sqlalchemy import ColumnElement, Select, Text, case, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import psycopg as dialect

from buslog import db
from buslog.desk import Desk
from buslog.errors import BuslogError
from buslog.filter import Filter, Range
from buslog.insights import AuditFilter, audits
from buslog.insights.curtain import mask_of
from buslog.insights.rows import log_rows
from buslog.insights.tables import subscriptions
from buslog.masking import Mask

log = logging.getLogger("buslog.export")

# The columns of the view buslog.log, in its order.
COLUMNS = (
    "message_id", "kind", "name", "key", "emitted_at", "subscription", "mode", "state", "attempts",
    "last_error_type", "last_error", "finished_at", "correlation_id", "causation_id", "payload",
)  # fmt: skip
AUDIT_COLUMNS = (
    "id", "at", "actor", "verb", "denied", "message_id", "name", "key", "subscription", "reason", "outcome",
)  # fmt: skip
TIMES = {"emitted_at", "finished_at", "at"}
_ERROR, _PAYLOAD = COLUMNS.index("last_error"), COLUMNS.index("payload")
_WORDS = ("kind", "name", "subscription", "mode", "state", "last_error_type", "last_error")
KINDS = {
    **dict.fromkeys(COLUMNS, "text"), **dict.fromkeys(_WORDS, "word"), "emitted_at": "time", "finished_at": "time",
    "attempts": "number",
}  # fmt: skip

CHUNK = 256 * 1024  # bytes; each costs the dashboard two changes of thread
FORMULAS = "=+-@\t\r"  # with which a spreadsheet takes a text for a formula
CUT_OFF = "CUT OFF"  # the last line of a file that does not hold all of its rows begins so


class Format(StrEnum):
    """What an export is written as."""

    CSV = "csv"
    EXCEL = "excel"
    PARQUET = "parquet"
    JSON = "json"

    @property
    def ending(self) -> str:
        """Of the file's name. Times in it are UTC, and its name says so where its cells do not."""
        return {"csv": "-UTC.csv", "excel": "-UTC-excel.csv", "parquet": "-UTC.parquet", "json": ".jsonl"}[self]

    @property
    def media_type(self) -> str:
        return {
            "parquet": "application/vnd.apache.parquet", "json": "application/jsonl; charset=utf-8",
        }.get(self, "text/csv; charset=utf-8")  # fmt: skip


_COPIES: dict[Format, LiteralString] = {
    Format.CSV: "COPY ({}) TO STDOUT (FORMAT csv)",
    Format.EXCEL: "COPY ({}) TO STDOUT (FORMAT csv, DELIMITER ';')",
    Format.PARQUET: "COPY ({}) TO STDOUT (FORMAT csv)",
    # COPY leaves alone what holds neither its quote nor its delimiter, and JSON holds no control characters.
    Format.JSON: (
        r"COPY (SELECT row_to_json(r) FROM ({}) AS r) TO STDOUT (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"
    ),
}
_AS_ROWS: LiteralString = "COPY ({}) TO STDOUT"


@dataclass
class Progress:
    """How far an export is."""

    rows: int = 0
    is_whole: bool = False


class Export(Iterator[bytes]):
    """The bytes of a file, in chunks of about 256 kB (Parquet: a row group at a time). Nothing runs until the first is
    asked for.

    Raises `DatabaseUnavailable` and `NotPermitted`. One that breaks off in the middle has said so in a last line, which
    begins with CUT OFF; a Parquet file without its end cannot be read at all.
    """

    def __init__(self, progress: Progress, chunks: Generator[bytes], cancel: Callable[[], None]) -> None:
        self.progress = progress
        self._chunks = chunks
        self._cancel = cancel
        self._turn = threading.Lock()

    def __next__(self) -> bytes:
        with self._turn:
            return next(self._chunks)

    def close(self) -> None:
        """Nobody wants the rest: the COPY is cancelled, also while another thread waits for its next chunk."""
        self._cancel()
        with self._turn:
            self._chunks.close()


class Exports(Desk):
    """The exports of one database, each audited when it begins and when it ends."""

    def export(self, filter_: Filter, format_: Format = Format.CSV) -> Export:
        """The rows of a filter, newest first. Raises when they are asked for, see `Export`."""
        audited = {"filter": filter_.to_params(default=Range.ALL), "format": format_}
        exported = stream(self._dsn, filter_, format_)
        progress = exported.progress

        def chunks() -> Generator[bytes]:
            with self._transaction("export") as connection:
                self._audit(connection, "export", audited)
            try:
                yield from exported
            finally:
                exported.close()
                ended = {**audited, "rows": progress.rows, "finished": progress.is_whole}
                try:
                    with self._transaction("export") as connection:
                        self._audit(connection, "export ended", ended)
                except BuslogError as error:  # what the reader got, the reader has
                    log.warning("the end of an export of %s rows is not in the audit: %s", progress.rows, error)

        return Export(progress, chunks(), exported.close)


def stream(dsn: str, filter_: Filter, format_: Format = Format.CSV) -> Export:
    """The rows of a filter, newest first, in the columns of the view buslog.log, what is masked hidden; nobody is told.

    Times are UTC: ISO 8601 with a Z in CSV and JSON, `emitted_at (UTC)` to the second in Excel's, timestamps with a
    zone in Parquet. In CSV and Excel's a text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    return _export(_Copying(dsn, _query(filter_, format_), format_, COLUMNS, is_masked=True))


def stream_audit(dsn: str, filter_: AuditFilter, format_: Format = Format.CSV) -> Export:
    """The rows of the audit, newest first; its times and texts as in `stream`."""
    return _export(_Copying(dsn, _audit_query(filter_, format_), format_, AUDIT_COLUMNS))


def _export(copying: _Copying) -> Export:
    progress = Progress()
    return Export(progress, _chunks(copying, progress), copying.cancel)


def _chunks(copying: _Copying, progress: Progress) -> Generator[bytes]:
    format_ = copying.format
    try:
        with copying.opened() as lines:
            if format_ is Format.PARQUET:
                from buslog import parquet  # noqa: PLC0415  (pyarrow is slow to import)

                yield from parquet.written(_counted(lines, progress), KINDS)
            else:
                yield from _in_chunks(_counted(lines, progress), header(format_, copying.columns))
    except BuslogError:
        if copying.has_begun and format_ in {Format.CSV, Format.EXCEL}:
            yield _line(format_, [f"{CUT_OFF} after {progress.rows} rows: the database broke off. Export again."])
        raise
    progress.is_whole = True


def _counted(lines: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    for line in lines:
        progress.rows += 1
        yield line


def header(format_: Format, columns: Sequence[str] = COLUMNS) -> bytes:
    """The first line of a CSV file; Excel's with what makes it read UTF-8, and the zone of its times."""
    if format_ is Format.JSON:
        return b""
    if format_ is Format.EXCEL:
        told = [f"{column} (UTC)" if column in TIMES else column for column in columns]
        return "\ufeff".encode() + _line(format_, told)
    return _line(format_, columns)


def _line(format_: Format, cells: Sequence[str | None]) -> bytes:
    """As COPY writes it: nothing is null, and the empty text stands in quotes."""
    delimiter = ";" if format_ is Format.EXCEL else ","
    return (delimiter.join("" if cell is None else _quoted(cell, delimiter) for cell in cells) + "\n").encode()


def _quoted(cell: str, delimiter: str) -> str:
    if cell and not any(letter in cell for letter in (delimiter, '"', "\n", "\r")):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


def _in_chunks(lines: Iterable[bytes], first: bytes) -> Iterator[bytes]:
    if first:
        yield first  # before the first row is found
    chunk = bytearray()
    try:
        for line in lines:
            chunk += line
            if len(chunk) >= CHUNK:
                yield bytes(chunk)
                chunk.clear()
    except Exception:
        if chunk:
            yield bytes(chunk)  # whole rows, and counted
        raise
    if chunk:
        yield bytes(chunk)


# ── the query ───────────────────────────────────────────────────────────────────


@dataclass
class _Copying:
    """A COPY under way, which another thread may cancel."""

    dsn: str
    query: Select[Any]
    format: Format
    columns: Sequence[str]
    is_masked: bool = False
    has_begun: bool = False
    _connection: db.Connection | None = field(default=None, repr=False)

    @contextmanager
    def opened(self) -> Iterator[Iterator[bytes]]:
        """The rows, a line each."""
        query, values = _compiled(self.query)
        with db.connect(self.dsn) as connection, db.translated(self.dsn), connection.transaction():
            # Rows leave in the order of an index: a sort would make the reader wait for the last row.
            connection.execute(
                "SET LOCAL statement_timeout = 0; SET LOCAL transaction_read_only = on; SET LOCAL enable_sort = off"
            )
            mask = _mask(connection) if self.is_masked else Mask()
            in_cells = mask and self.format is not Format.JSON
            statement: LiteralString = (_AS_ROWS if in_cells else _COPIES[self.format]).format(query)
            self._connection = connection
            try:
                with connection.cursor() as cursor, cursor.copy(statement, values) as copy:
                    self.has_begun = True
                    yield self._masked(copy, mask) if mask else map(bytes, copy)
            finally:
                self._connection = None

    def _masked(self, copy: Any, mask: Mask) -> Iterator[bytes]:
        if self.format is Format.JSON:
            for line in copy:
                text = bytes(line).decode()
                yield mask.line(text, error="last_error", payload="payload").encode() + b"\n"
        else:
            for row in copy.rows():
                yield _line(self.format, mask.row(row, error=_ERROR, payload=_PAYLOAD))

    def cancel(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.cancel_safe()


def _compiled(query: Select[Any]) -> tuple[str, Mapping[str, Any]]:
    """Its text for the driver, and the values in it."""
    compiled = query.compile(
        dialect=dialect.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    return str(compiled), compiled.params


def _mask(connection: db.Connection) -> Mask:
    row = connection.execute(db.query("mask_fields")).fetchone()
    assert row is not None
    return mask_of(row[0])


def _query(filter_: Filter, format_: Format) -> Select[Any]:
    text, time = _forms(format_)
    rows = log_rows(filter_, datetime.now(UTC))
    m, d, s = rows.m.c, rows.d.c, subscriptions.c
    # A join: PostgreSQL keeps what it has looked up. As subqueries the two columns took more than half of an export.
    rows = replace(rows, source=rows.source.outerjoin(subscriptions, s.id == d.subscription_id))
    columns = (
        m.id, m.kind, text(m.name), text(m.key), time(m.emitted_at), text(s.subscription), s.mode, d.state, d.attempts,
        text(d.error_type), text(d.error), time(d.finished_at), m.correlation_id, m.causation_id, m.payload,
    )  # fmt: skip
    return rows.newest_first(rows.select(*(column.label(name) for name, column in zip(COLUMNS, columns, strict=True))))


def _audit_query(filter_: AuditFilter, format_: Format) -> Select[Any]:
    text, time = _forms(format_)
    a = audits.query_of(filter_, datetime.now(UTC)).subquery("a").c
    columns = (
        a.id, time(a.at), text(a.actor), text(a.verb), func.jsonb_exists(cast(a.outcome, JSONB), audits.DENIED),
        a.message_id, text(a.name), text(a.key), text(a.subscription), text(a.reason), cast(a.outcome, JSONB),
    )  # fmt: skip
    named = (column.label(name) for name, column in zip(AUDIT_COLUMNS, columns, strict=True))
    return select(*named).order_by(a.at.desc(), a.id.desc())


def _forms(
    format_: Format,
) -> tuple[Callable[[ColumnElement[str]], ColumnElement[str]], Callable[[ColumnElement[datetime]], ColumnElement[str]]]:
    """How a format writes a text, and a time."""
    text = _as_is if format_ in {Format.JSON, Format.PARQUET} else _safe
    return text, _to_the_second if format_ is Format.EXCEL else _iso


def _as_is(text: ColumnElement[str]) -> ColumnElement[str]:
    return text


def _safe(text: ColumnElement[str]) -> ColumnElement[str]:
    """The apostrophe that keeps a spreadsheet from running a cell as a formula."""
    return case((func.ascii(text).in_([ord(first) for first in FORMULAS]), "'" + text), else_=text)


def _iso(moment: ColumnElement[datetime]) -> ColumnElement[str]:
    at_utc = func.timezone("UTC", moment)
    return func.to_char(at_utc, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"', type_=Text())


def _to_the_second(moment: ColumnElement[datetime]) -> ColumnElement[str]:
    """As Excel reads a time in every country."""
    return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD HH24:MI:SS", type_=Text())
