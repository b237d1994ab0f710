"""Which database the dashboard looks at, and as whom it acts."""

from __future__ import annotations

import threading
from functools import cache

from buslog import db
from buslog.desk import Actor
from buslog.insights import Insights
from buslog.operations import Operations

_lock = threading.Lock()
_dsn: str | None = None
_held: db.Database | None = None


def use(dsn: str) -> None:
    """The database of this process from now on."""
    global _dsn  # noqa: PLW0603  (one server, one database)
    _dsn = dsn


def dsn() -> str:
    """The database given to `use`; otherwise the settings', held as long as the process lives."""
    global _held  # noqa: PLW0603
    if _dsn is not None:
        return _dsn
    with _lock:
        if _held is None:
            _held = db.Database()
        return _held.dsn


def insights() -> Insights:
    return _insights(dsn())


def operations() -> Operations:
    return Operations(dsn(), who())


@cache
def who() -> Actor:
    """Everybody at this machine is one person, until there is a login."""
    return Actor.local("dashboard")


def where() -> str:
    """The database, for people: never its password."""
    return db.describe(dsn())


def close() -> None:
    """Gives back the connections, and the database if it was opened here."""
    global _held  # noqa: PLW0603
    if _insights.cache_info().currsize:
        insights().close()
        _insights.cache_clear()
    with _lock:
        if _held is not None:
            _held.close()
            _held = None


@cache
def _insights(dsn: str) -> Insights:
    return Insights(dsn)
