"""What the database and its driver refuse, as errors of ours: never a statement, its values or a DSN in one."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from buslog.errors import (
    BuslogError,
    DatabaseUnavailable,
    InvalidMessage,
    Misconfigured,
    NotPermitted,
    OutcomeUnknown,
)


def describe(dsn: str) -> str:
    """Host, port and database of a DSN; never its password."""
    given = conninfo_to_dict(dsn)
    return f"PostgreSQL {given.get('dbname', '')} at {given.get('host', 'localhost')}:{given.get('port', 5432)}"


@contextlib.contextmanager
def translated(dsn: str = "", *, committing: bool = False) -> Iterator[None]:
    """psycopg's errors become ours. `committing`: a break means that the outcome is unknown."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (psycopg.Error, *_sqlalchemy_errors("SQLAlchemyError"))):
            raise
        raise translate(error, dsn, committing=committing) from None


def translate(error: Exception, dsn: str = "", *, committing: bool = False) -> BuslogError:
    """Our error for one of psycopg's or SQLAlchemy's. Never repeats the statement, its values or the DSN."""
    if isinstance(error, _sqlalchemy_errors("DBAPIError")):
        error = getattr(error, "orig", None) or error
    state = getattr(error, "sqlstate", None) or ""
    diagnosis = getattr(error, "diag", None)
    if state == "BL001" and diagnosis is not None and diagnosis.message_detail:
        return InvalidMessage(**json.loads(diagnosis.message_detail))
    if state.startswith("22"):
        return InvalidMessage(
            field="payload",
            rule="is JSON that PostgreSQL can hold",
            was=(diagnosis.message_primary or "" if diagnosis else ""),
            mend="Remove NUL characters, lone surrogates, NaN and Infinity.",
        )
    where = describe(dsn) if dsn else "the database"
    # An ERROR of the server's ends the statement and rolls it back. Whatever else ends it leaves its outcome open, such
    # as a PANIC because the disk is full, by which time the commit may have been written.
    is_broken = not state or (diagnosis is not None and diagnosis.severity_nonlocalized != "ERROR")
    if committing and is_broken and state:
        return _unknown()
    if known := _KNOWN.get(state or _state_in_text(error)):
        kind, field, rule, was, mend = known
        return kind(field=field, rule=rule, was=was.format(where=where), mend=mend)
    if isinstance(error, (PoolTimeout, *_sqlalchemy_errors("TimeoutError"))):
        return DatabaseUnavailable(
            field="pool", rule="has a free connection in time",
            was=f"every connection of this program to {where} is in use", mend="Look for what holds them for long.",
        )  # fmt: skip
    if committing and is_broken and isinstance(error, psycopg.OperationalError):
        return _unknown()
    if is_broken and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return DatabaseUnavailable(
            field="database", rule="answers", was=f"{where} does not", mend="Start it, or correct BUSLOG_DSN."
        )
    return DatabaseUnavailable(
        field="database", rule="carries out the statement", was=f"{type(error).__name__} {state}".strip(),
        mend="The server's log says more.",
    )  # fmt: skip


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown(
        field="emit", rule="is confirmed by the database", was="the connection broke before the answer",
        mend="Emit it again with the dedupe key it had, or look in the Log first.",
    )  # fmt: skip


def _sqlalchemy_errors(name: str) -> tuple[type[Exception], ...]:
    """An exception of SQLAlchemy's, if it has been imported at all."""
    module = sys.modules.get("sqlalchemy.exc")
    return (getattr(module, name),) if module else ()


_TURNED_AWAY = (
    Misconfigured, "BUSLOG_DSN", "names a database that lets us in", "{where} turned us away",
    "Check user, password and database name.",
)  # fmt: skip
_OTHER_BUILD = (
    Misconfigured, "schema", "is this build's", "{where} lacks something that this build calls",
    "Run `buslog migrate`; a database that an unreleased build made has to be made anew.",
)  # fmt: skip
_AGAIN = "Nothing of it is stored: carry out the whole transaction again."
# By SQLSTATE: error, field, rule, what it was, how to mend it.
_KNOWN: dict[str, tuple[type[BuslogError], str, str, str, str]] = {
    **dict.fromkeys(("28P01", "28000", "3D000"), _TURNED_AWAY),
    **dict.fromkeys(("3F000", "42P01", "42883", "42703"), _OTHER_BUILD),
    "40001": (DatabaseUnavailable, "transaction", "is in nobody's way", "a serialization failure", _AGAIN),
    "40P01": (DatabaseUnavailable, "transaction", "is in nobody's way", "a deadlock", _AGAIN),
    "42501": (
        NotPermitted, "role", "has the right to do this", "{where} refused it",
        "Grant the right, or connect as a role that has it.",
    ),
    "53100": (
        DatabaseUnavailable, "database", "has room on its disk", "{where} has none",
        "Make room; what is open goes on by itself.",
    ),
    "53300": (
        DatabaseUnavailable, "database", "has a free connection", "{where} is at max_connections",
        "Stop a client, or raise max_connections.",
    ),
    "57014": (
        DatabaseUnavailable, "query", "answers within the statement time-out", "",
        "Narrow the time range or the filter.",
    ),
}  # fmt: skip
# While connecting, libpq gives no SQLSTATE, only text: a server that is there and refuses says why.
_TEXTS = {
    "28P01": r"password authentication failed|no password supplied|no pg_hba\.conf entry",
    "3D000": r'FATAL:\s+(database|role) ".*" does not exist',
    "53300": r"too many clients already|remaining connection slots|too many connections for",
}


def _state_in_text(error: Exception) -> str:
    if not isinstance(error, psycopg.OperationalError):
        return ""
    return next((state for state, told in _TEXTS.items() if re.search(told, str(error))), "")
