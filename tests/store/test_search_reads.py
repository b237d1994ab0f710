"""What a search reads of a large log: a page, however much there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from buslog import db
from buslog.filter import Filter, Range
from buslog.insights import Insights
from buslog.message import State
from tests.store.conftest import heard

if TYPE_CHECKING:
    from tests.conftest import BusByHand, TestServer


def fill(connection: db.Connection) -> None:
    """60,000 messages of 20 names and 600 keys, a ref each of 300; of one key and one ref 20,000."""
    connection.execute("SELECT buslog.set_ref_fields('{container}')")
    connection.execute(
        """INSERT INTO buslog.messages (id, kind, routed, emitted_at, correlation_id, name, key, source, payload)
           SELECT id, 'event', 0, at, id, 'name ' || n %% 20, CASE WHEN n %% 3 = 0 THEN 'BIG' ELSE 'S-' || n %% 600 END,
                  'sql', jsonb_build_object('container', CASE WHEN n %% 3 = 1 THEN 'big' ELSE 'C-' || n %% 300 END)
           FROM generate_series(1, %s) AS n,
                LATERAL (SELECT now() - n * interval '1 second' AS at) AS t, LATERAL buslog.new_id(t.at) AS id""",
        (60_000,),
    )
    while connection.execute("SELECT buslog.fold_refs(20000)").fetchone() == (True,):
        pass
    connection.execute("ANALYZE buslog.messages, buslog.message_refs, buslog.deliveries, buslog.ended_deliveries")


@pytest.fixture
def dsn(pg_server: TestServer) -> Iterator[str]:
    """A database of one's own with that log."""
    name = pg_server.create(template=pg_server.template("large_log", fill))
    yield name
    pg_server.drop(name)


OF_MANY = [Filter(key="BIG"), Filter(find=("BIG",)), Filter(find=("big",)), Filter(names=("name 3",))]


@pytest.mark.parametrize("filter_", OF_MANY, ids=Filter.to_text)
def test_a_newest_page_reads_a_page_however_many_there_are(
    insights: Insights, connection: db.Connection, filter_: Filter
) -> None:
    with heard() as asked:
        assert len(insights.page(filter_).rows) == 50
    assert insights.count(filter_).is_capped or insights.count(filter_).value > 1_000
    (statement, values), *_ = asked
    row = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement, values).fetchone()
    assert row is not None
    assert _read(row[0][0]["Plan"]) < 2_000


OF_A_PAGE = [
    Filter(), Filter(range=Range.DAY), Filter(key="BIG"), Filter(key="S-1"), Filter(names=("name 3",)),
    Filter(names=("name 3", "name 4"), range=Range.DAY), Filter(states=(State.FAILED,)),
    Filter(states=(State.FAILED, State.RETRYING), range=Range.WEEK), Filter(states=(State.UNROUTED,)),
]  # fmt: skip


@pytest.mark.parametrize("filter_", OF_A_PAGE, ids=Filter.to_text)
def test_a_page_that_is_planned_once_for_all_values_reads_a_page(insights: Insights, filter_: Filter) -> None:
    with heard() as asked:
        for _ in range(8):
            insights.page(filter_)
    (statement, values) = asked[-1]
    with insights._reading() as connection:
        (name, planned_for_all), *others = connection.execute(
            "SELECT name, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%LIMIT 51%'"
        ).fetchall()
        assert not others
        assert planned_for_all
        names = dict.fromkeys(re.findall(r"%\((\w+)\)s", statement.decode()))  # in the order of the driver's $1, $2, …
        explain = sql.SQL("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {}{}").format(
            sql.Identifier(name),
            sql.SQL("({})").format(sql.SQL(",").join(values[one] for one in names)) if names else sql.SQL(""),
        )
        row = connection.execute(explain).fetchone()
    assert row is not None
    assert _read(row[0][0]["Plan"]) < 2_000


def _read(node: dict[str, Any]) -> float:
    """Rows that the scans of a plan gave, or threw away."""
    below = sum(map(_read, node.get("Plans", [])))
    if "Scan" not in node["Node Type"] or node.get("Plans"):
        return float(below)
    return float(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) + below)


def test_the_messages_of_what_failed_are_looked_up_and_not_merged_with_all(
    insights: Insights, connection: db.Connection, by_hand: BusByHand
) -> None:
    by_hand.subscribe("mail", "departed")
    connection.execute(
        """INSERT INTO buslog.ended_deliveries
               (message_id, subscription_id, generation, attempts, repeats, state, finished_at, error_type, error)
           SELECT id, 1, 1, 3, 0, 'failed', emitted_at, 'CarrierTimeout', 'no answer'
           FROM (SELECT id, emitted_at, row_number() OVER (ORDER BY id) AS place FROM buslog.messages) AS m
           WHERE place % 25 = 0"""
    )
    connection.execute("VACUUM ANALYZE buslog.messages, buslog.ended_deliveries")
    with heard() as asked:
        assert len(insights.page(Filter(states=(State.FAILED,))).rows) == 50
    row = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + asked[0][0], asked[0][1]).fetchone()
    assert row is not None
    assert _read(row[0][0]["Plan"]) < 500
