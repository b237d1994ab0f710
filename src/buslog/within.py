"""Emit in the caller's own transaction: psycopg's or SQLAlchemy's connections and sessions, sync and async.

The message commits and rolls back with what the caller writes beside it: a transactional outbox without an outbox.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol

from buslog import db, telemetry
from buslog.errors import InvalidMessage
from buslog.message import Emitted
from buslog.store import Said


class Executes(Protocol):
    """psycopg.Connection; SQLAlchemy's Connection and Session."""

    def execute(self, statement: Any, /, *arguments: Any, **options: Any) -> Any: ...


class ExecutesAsync(Protocol):
    """psycopg.AsyncConnection; SQLAlchemy's AsyncConnection and AsyncSession."""

    async def execute(self, statement: Any, /, *arguments: Any, **options: Any) -> Any: ...


def is_async(connection: Executes | ExecutesAsync) -> bool:
    """Whether the connection's `execute` is to be awaited."""
    return inspect.iscoroutinefunction(connection.execute)


def emit_sync(connection: Executes, said: Said) -> Emitted:
    """Store a message on a sync connection. Raises like `Bus.emit_within`."""
    with telemetry.emitting(said.name) as span, db.translated(committing=db.commits_by_itself(connection)):
        if span is not None:
            said = said._replace(traceparent=span.traceparent)
        _refuse_sync(said, connection.execute(*_statement(connection, "has_sync_subscriber", said)).fetchone())
        emitted = _emitted(connection.execute(*_statement(connection, "emit_within", said)).fetchone())
        if span is not None:
            span.stored(emitted.id)
        return emitted


async def emit_async(connection: ExecutesAsync, said: Said) -> Emitted:
    """Store a message on an async connection. Raises like `Bus.emit_within`."""
    with telemetry.emitting(said.name) as span, db.translated(committing=db.commits_by_itself(connection)):
        if span is not None:
            said = said._replace(traceparent=span.traceparent)
        found = await connection.execute(*_statement(connection, "has_sync_subscriber", said))
        _refuse_sync(said, await _fetched(found))
        emitted = _emitted(await _fetched(await connection.execute(*_statement(connection, "emit_within", said))))
        if span is not None:
            span.stored(emitted.id)
        return emitted


async def _fetched(cursor: Any) -> Any:
    """psycopg's cursor is asked asynchronously; SQLAlchemy has its result already."""
    row = cursor.fetchone()
    return await row if inspect.isawaitable(row) else row


def _statement(connection: Executes | ExecutesAsync, name: str, said: Said) -> tuple[Any, dict[str, Any]]:
    values = said._asdict()
    if not any(kind.__module__.startswith("sqlalchemy") for kind in type(connection).mro()):
        return db.query(name), values
    from sqlalchemy import text  # noqa: PLC0415  (whoever passes such a connection has imported it)

    # The same file: psycopg's %(name)s is SQLAlchemy's :name, whatever the driver beneath.
    return text(db.PLACEHOLDER.sub(r":\1", db.query(name))), values


def _refuse_sync(said: Said, row: Any) -> None:
    if _values(row)[0] and said.delay is None and said.due_at is None:
        raise InvalidMessage(
            field="name", rule="has no sync subscriber, when it is emitted in an open transaction", was=said.name,
            mend="A sync subscriber would wait for the commit, and the commit for it: emit after the commit.",
        )  # fmt: skip


def _emitted(row: Any) -> Emitted:
    message_id, routed, duplicate = _values(row)
    return Emitted(message_id, routed, duplicate)


def _values(row: Any) -> list[Any]:
    """The caller's connection may have any row factory."""
    return list(row.values() if isinstance(row, Mapping) else row)
