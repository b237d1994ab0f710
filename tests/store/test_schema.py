"""The schema and its SQL functions, on every PostgreSQL that buslog supports."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from buslog import db
from buslog.errors import Misconfigured


def test_migrating_twice_changes_nothing(dsn: str) -> None:
    assert db.migrate(dsn) == ("0001", "0001")


def test_ids_bound_times_to_the_microsecond(connection: db.Connection) -> None:
    row = connection.execute(
        """
        SELECT bool_and(buslog.new_id(t) >= buslog.id_floor(t)
                        AND buslog.new_id(t) < buslog.id_floor(t + interval '1 microsecond'))
        FROM generate_series('2026-03-29T00:59:59Z'::timestamptz, '2026-03-29T00:59:59.003Z', '1 microsecond') AS t
        """
    ).fetchone()
    assert row == (True,)


def test_an_emit_never_fails_for_want_of_a_partition(connection: db.Connection) -> None:
    """As if no worker had run for months: the partitions that were made ahead are gone by."""
    for (suffix,) in connection.execute("SELECT suffix FROM buslog.partitions").fetchall():
        for table in ("messages", "ended_deliveries", "attempts", "message_refs"):
            connection.execute(f"DROP TABLE buslog.{table}_{suffix}")
    connection.execute("UPDATE buslog.partitions"
                       " SET from_time = '2020-01-01', until_time = '2020-02-01', suffix = 'm202001'"
                       " WHERE suffix = (SELECT min(suffix) FROM buslog.partitions)")  # fmt: skip
    connection.execute("DELETE FROM buslog.partitions WHERE suffix <> 'm202001'")
    connection.execute("SELECT buslog.emit('departed', '{}')")
    assert connection.execute("SELECT count(*) FROM buslog.log").fetchone() == (1,)


def test_history_gets_partitions_of_whole_years_up_to_the_first_month(connection: db.Connection) -> None:
    made = connection.execute("SELECT buslog.ensure_partitions('2010-06-01Z', '2012-01-01Z')").fetchone()
    assert made == (3,)
    assert connection.execute("SELECT buslog.ensure_partitions('2010-06-01Z', '2012-01-01Z')").fetchone() == (0,)
    connection.execute("SELECT buslog.ensure_partitions('2012-05-01Z', now())")
    gaps = connection.execute(
        "SELECT count(*) FROM (SELECT from_time, lag(until_time) OVER (ORDER BY from_time) AS before"
        " FROM buslog.partitions) AS p WHERE from_time <> before"
    ).fetchone()
    assert gaps == (0,)


def test_the_audit_cannot_be_changed(connection: db.Connection) -> None:
    connection.execute("INSERT INTO buslog.operations (actor, verb, outcome) VALUES ('me', 'replay', '{}')")
    for statement in ("UPDATE buslog.operations SET actor = 'you'", "DELETE FROM buslog.operations",
                      "TRUNCATE buslog.operations"):  # fmt: skip
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            connection.execute(statement)


@pytest.mark.parametrize("change", [{"dbname": "nowhere"}, {"user": "nobody"}])
def test_a_database_that_turns_us_away_is_a_matter_of_configuration(dsn: str, change: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match="Check user, password and database name"):
        db.connect(make_conninfo(dsn, **change))
