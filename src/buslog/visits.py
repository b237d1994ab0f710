"""When a person last looked. Kept in the database: it follows them to another device."""

from __future__ import annotations

from datetime import datetime

from buslog import db
from buslog.errors import NotPermitted


def look(dsn: str, person: str) -> datetime | None:
    """Notes that somebody looks now; returns when their visit before this one ended, None for a first visit.

    Not an operation: nothing on the bus changes, and there is no audit row. A role that may only read has no visits.
    Raises `DatabaseUnavailable`.
    """
    try:
        with db.connect(dsn) as connection, db.translated(dsn):
            row = connection.execute(db.query("visit"), {"person": person}).fetchone()
    except NotPermitted:
        return None
    return row[0] if row else None
