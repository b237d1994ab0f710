"""What is wrong with the database, and how to mend it. Read-only; what the role may not see is said to be unseen.

Each check is a function from a `Look` to its findings; together they are `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable

from buslog import db
from buslog.doctor.model import Finding, Level, Look
from buslog.doctor.server import check_clock, check_connections, check_durability, check_horizon, check_version
from buslog.doctor.tables import check_indexes, check_partitions, check_plans, check_tables
from buslog.doctor.work import check_leases, check_series, check_subscriptions
from buslog.errors import DatabaseUnavailable, Misconfigured, NotPermitted

__all__ = ["Finding", "Level", "examine"]

Check = Callable[[Look], list[Finding]]

SERVER_CHECKS: dict[str, Check] = {
    "server": check_version, "durability": check_durability, "clock": check_clock, "connections": check_connections,
    "horizon": check_horizon,
}  # fmt: skip
SCHEMA_CHECKS: dict[str, Check] = {
    "partitions": check_partitions, "tables": check_tables, "indexes": check_indexes, "plans": check_plans,
    "subscriptions": check_subscriptions, "leases": check_leases, "series": check_series,
}  # fmt: skip


def examine(dsn: str) -> list[Finding]:
    """The findings of every check, the good ones too. Raises `DatabaseUnavailable` when the database goes away."""
    with db.connect_to_read(dsn) as connection:
        look = Look(connection, dsn)
        findings = [finding for name, check in SERVER_CHECKS.items() for finding in _carried_out(name, check, look)]
        schema = _carried_out("schema", _check_schema, look)
        findings += schema
        if schema[0].level is Level.OK:
            findings += [found for name, check in SCHEMA_CHECKS.items() for found in _carried_out(name, check, look)]
        return findings


def _carried_out(name: str, check: Check, look: Look) -> list[Finding]:
    try:
        return check(look)
    except (NotPermitted, DatabaseUnavailable) as error:
        if look.is_broken:
            raise
        return [Finding(name, Level.UNSEEN, f"not looked at: {error.rule}, {error.was or 'it did not'}", error.mend)]


def _check_schema(look: Look) -> list[Finding]:
    """Of the revision that this build works with."""
    ((is_there, is_open),) = look.rows("doctor_schema")
    if not is_there:
        return [Finding("schema", Level.BAD, "there is none", "Run `buslog migrate`.")]
    if not is_open:
        return [
            Finding("schema", Level.UNSEEN, "this role may not look into it", "Grant it USAGE on the schema buslog.")
        ]
    try:
        db.check_schema(look.dsn)
    except NotPermitted:
        raise
    except Misconfigured as error:
        return [Finding("schema", Level.BAD, f"{error.was}, this build needs {error.limit}", error.mend)]
    return [Finding("schema", Level.OK, f"revision {db.expected_revision()}")]
