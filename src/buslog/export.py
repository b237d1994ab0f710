"""The whole filtered set as CSV or JSON lines, streamed straight out of PostgreSQL's COPY. CLI and dashboard export
through it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString

import sqlalchemy
from sqlalchemy import ColumnElement, Select, Text, case, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import psycopg as dialect

from buslog import db
from buslog.filter import Filter
from buslog.insights import AuditFilter, audits
from buslog.insights.curtain import mask_of
from buslog.insights.rows import log_rows, subscription_mode, subscription_name
from buslog.masking import Mask

# The columns of the view buslog.log, in its order.
COLUMNS = (
    "message_id", "kind", "name", "key", "emitted_at", "subscription", "mode", "state", "attempts",
    "last_error_type", "last_error", "finished_at", "correlation_id", "causation_id", "payload",
)  # fmt: skip

CHUNK = 64 * 1024

AS_CSV: LiteralString = "COPY ({}) TO STDOUT (FORMAT csv, HEADER)"
AS_ROWS: LiteralString = "COPY ({}) TO STDOUT"
# COPY leaves alone what holds neither its quote nor its delimiter, and JSON holds no control characters.
AS_JSON: LiteralString = (
    r"COPY (SELECT row_to_json(r) FROM ({}) AS r) TO STDOUT (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"
)


def stream_csv(dsn: str, filter_: Filter) -> Generator[bytes]:
    """CSV with a header, newest first, in chunks of about 64 kB; memory stays flat however long it is.

    Times are ISO 8601 in UTC. A text that a spreadsheet would take for a formula begins with an apostrophe.
    Nothing runs until the first chunk is asked for. A generator that is closed early cancels the COPY.
    Raises `DatabaseUnavailable`.
    """
    yield from _stream(dsn, _query(filter_, _safe), AS_CSV, masked=(AS_ROWS, _masked_csv))


def stream_json(dsn: str, filter_: Filter) -> Generator[bytes]:
    """The same rows as JSON objects, one a line, their texts as they are. Raises `DatabaseUnavailable`."""
    yield from _stream(dsn, _query(filter_, _as_is), AS_JSON, masked=(AS_JSON, _masked_json))


def stream_audit(dsn: str, filter_: AuditFilter) -> Generator[bytes]:
    """The rows of the audit as CSV with a header, newest first; its times and texts as in `stream_csv`."""
    yield from _stream(dsn, _audit_query(filter_, _safe), AS_CSV)


def stream_audit_json(dsn: str, filter_: AuditFilter) -> Generator[bytes]:
    """The same rows as JSON objects, one a line, their texts as they are."""
    yield from _stream(dsn, _audit_query(filter_, _as_is), AS_JSON)


def _stream(
    dsn: str, query: Select[Any], copy_of: LiteralString,
    *, masked: tuple[LiteralString, Callable[[Any, Mask], Iterator[bytes]]] | None = None,
) -> Generator[bytes]:  # fmt: skip
    compiled = query.compile(dialect=dialect.dialect())  # type: ignore[no-untyped-call]
    with db.connect(dsn) as connection, db.translated(dsn), connection.transaction():
        # Rows leave in the order of an index: a sort would make the reader wait for the last row.
        connection.execute(
            "SET LOCAL statement_timeout = 0; SET LOCAL transaction_read_only = on; SET LOCAL enable_sort = off"
        )
        mask = _mask(connection)
        statement: LiteralString = (masked[0] if masked and mask else copy_of).format(compiled)
        with connection.cursor() as cursor, cursor.copy(statement, compiled.params) as copy:
            yield from _in_chunks(masked[1](copy, mask) if masked and mask else copy)


def _mask(connection: db.Connection) -> Mask:
    row = connection.execute(db.query("mask_fields")).fetchone()
    assert row is not None
    return mask_of(row[0])


def _masked_csv(copy: Any, mask: Mask) -> Iterator[bytes]:
    yield _csv_line(COLUMNS)
    for row in copy.rows():
        yield _csv_line(mask.row(row, error=COLUMNS.index("last_error"), payload=COLUMNS.index("payload")))


def _masked_json(copy: Any, mask: Mask) -> Iterator[bytes]:
    for line in copy:
        text = bytes(line).decode()
        yield mask.line(text, error="last_error", payload="payload").encode() + b"\n"


def _csv_line(cells: Sequence[str | None]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(cells)
    return written.getvalue().encode()


def _in_chunks(blocks: Any) -> Iterator[bytes]:
    chunk = bytearray()
    for block in blocks:
        chunk += block
        if len(chunk) >= CHUNK:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)


def _query(filter_: Filter, text: Callable[[ColumnElement[str]], ColumnElement[str]]) -> Select[Any]:
    rows = log_rows(filter_, datetime.now(UTC))
    m, d = rows.m.c, rows.d.c
    columns = (
        m.id, m.kind, text(m.name), text(m.key), _utc(m.emitted_at),
        text(subscription_name(d.subscription_id)), subscription_mode(d.subscription_id), d.state, d.attempts,
        text(d.error_type), text(d.error), _utc(d.finished_at), m.correlation_id, m.causation_id, m.payload,
    )  # fmt: skip
    return rows.newest_first(rows.select(*(column.label(name) for name, column in zip(COLUMNS, columns, strict=True))))


def _audit_query(filter_: AuditFilter, text: Callable[[ColumnElement[str]], ColumnElement[str]]) -> Select[Any]:
    found = audits.query_of(filter_, datetime.now(UTC)).subquery("a")
    a = found.c
    columns = (
        ("id", a.id), ("at", _utc(a.at)), ("actor", text(a.actor)), ("verb", text(a.verb)),
        ("denied", func.jsonb_exists(cast(a.outcome, JSONB), audits.DENIED)),
        ("message_id", a.message_id), ("name", text(a.name)), ("key", text(a.key)),
        ("subscription", text(a.subscription)), ("reason", text(a.reason)), ("outcome", cast(a.outcome, JSONB)),
    )  # fmt: skip
    return select(*(column.label(name) for name, column in columns)).order_by(a.at.desc(), a.id.desc())


def _as_is(text: ColumnElement[str]) -> ColumnElement[str]:
    return text


def _safe(text: ColumnElement[str]) -> ColumnElement[str]:
    """The apostrophe that keeps a spreadsheet from running a cell as a formula."""
    return case((text.op("~", return_type=sqlalchemy.Boolean())("^[=+@\t\r-]"), "'" + text), else_=text)


def _utc(moment: ColumnElement[datetime]) -> ColumnElement[str]:
    at_utc = func.timezone("UTC", moment)
    return func.to_char(at_utc, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"', type_=Text())
