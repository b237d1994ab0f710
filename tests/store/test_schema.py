"""The schema and its SQL functions, on every PostgreSQL that buslog supports."""

from __future__ import annotations

from buslog import db


def test_migrating_twice_changes_nothing(dsn: str) -> None:
    assert db.migrate(dsn) == ("0001", "0001")


def test_ids_bound_times_to_the_microsecond(connection: db.Connection) -> None:
    row = connection.execute(
        """SELECT bool_and(buslog.new_id(t) >= buslog.id_floor(t) AND buslog.new_id(t) < buslog.id_floor(t + interval '1 microsecond'))
           FROM generate_series('2026-03-29T00:59:59Z'::timestamptz, '2026-03-29T00:59:59.003Z', '1 microsecond') AS t"""
    ).fetchone()
    assert row == (True,)
