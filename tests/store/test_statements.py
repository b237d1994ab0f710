"""Statements are kept by the shape of a Filter: what is kept answers as what is composed anew."""

from __future__ import annotations

import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from buslog import db
from buslog.errors import DatabaseUnavailable, InvalidFilter
from buslog.filter import Filter, Range
from buslog.insights import Cursor, Insights, aggregates
from buslog.insights.rows import log_rows
from buslog.insights.search import ways
from buslog.insights.shapes import shape_of, values_of
from buslog.insights.statements import composed
from buslog.message import State

if TYPE_CHECKING:
    from tests.conftest import BusByHand

TEXTS = ("no answer within 5 s", "100% of_it", "100", "5/5", "a b")  # some are patterns of LIKE, or its escape
Place = tuple[uuid.UUID, int]


@pytest.fixture
def mixed(by_hand: BusByHand) -> BusByHand:
    """Three names, three subscriptions, four keys, refs, threads, each state, errors with all of the texts."""
    by_hand.run("SELECT buslog.set_ref_fields(ARRAY['container'])")
    by_hand.subscribe("mail", "departed", "arrived")
    by_hand.subscribe("tracking", "departed")
    by_hand.subscribe("customs", "arrived")
    first = None
    for number in range(24):
        name = ("departed", "arrived", "nobodyListens")[number % 3]
        payload = f'{{"container": "C-{number % 5}", "n": {number % 4}}}'
        first = by_hand.emit(name, payload, key=f"S-{number % 4}", caused_by=first if number % 6 else None)
        if number % 4 == 0:
            by_hand.work(mail=("failed", "succeeded", "retrying")[number // 4 % 3], customs="failed")
    by_hand.run(
        "UPDATE buslog.ended_deliveries SET error = (%s::text[])[1 + subscription_id %% 5] WHERE error IS NOT NULL",
        list(TEXTS),
    )
    by_hand.run("SELECT buslog.fold_refs(1000)")
    by_hand.add_history("departed", "2012-02-29T10:00:00Z", key="S-0", state="failed")
    by_hand.add_history("departed", "2012-03-01T10:00:00Z", key="S-1", state="cancelled")
    by_hand.add_history("T02 Check", "2011-05-05T10:00:00Z", key="case-1")
    return by_hand


class Asking:
    """Filters at random, of what there is and of what there is not."""

    def __init__(self, connection: db.Connection, seed: int) -> None:
        self._random = random.Random(seed)
        self._ids = [row[0] for row in connection.execute("SELECT id FROM buslog.messages ORDER BY id")]
        self._groups = [row[0] for row in connection.execute("SELECT DISTINCT fingerprint FROM buslog.failures")]
        self.now = datetime.now(UTC)

    def filter(self) -> Filter:
        some, pick = self._some, self._random.choice
        month, day = pick((1, 6)), pick((1, 2))
        ago = self.now - timedelta(seconds=pick((5, 3600, 86_400 * 5000)))
        times: dict[str, Any] = pick((
            {}, {"range": pick(list(Range))}, {"since": ago}, {"until": ago},
            {"since": datetime(2011, month, 1, tzinfo=UTC), "until": datetime(2012, 3, day, tzinfo=UTC)},
        ))  # fmt: skip
        return Filter(
            find=some(0.2, ("S-1", "s-2", "C-3", "c-4", "nothing", str(pick(self._ids)), str(pick(self._ids)))),
            names=some(0.3, ("departed", "arrived", "nobodyListens", "absent")),
            key=self._perhaps(0.2, ("S-0", "S-1", "S-9")),
            subscription=self._perhaps(0.2, ("mail", "tracking", "unknown")),
            states=some(0.4, tuple(State)),
            error_type=self._perhaps(0.1, ("CarrierTimeout", "KeyError")),
            group=self._perhaps(0.1, (*self._groups, "0" * 16)),
            error_text=self._perhaps(0.1, (*TEXTS, "_", "%", "/", "ANSWER")),
            correlation=self._perhaps(0.1, self._ids),
            payload=self._perhaps(0.1, ('{"n": 1}', '{"n": 2}', '{"container": "C-1"}')),
            raised=self._random.random() < 0.1,
            ended_since=self._perhaps(0.1, (self.now - timedelta(hours=1), datetime(2012, 3, 1, tzinfo=UTC))),
            **times,
        )

    def _perhaps(self, share: float, values: Any) -> Any:
        return self._random.choice(values) if self._random.random() < share else None

    def _some(self, share: float, values: Any) -> Any:
        if self._random.random() >= share:
            return ()
        return tuple(dict.fromkeys(self._random.sample(values, self._random.choice((1, 1, 2, 3)))))


def found_anew(connection: db.Connection, filter_: Filter, now: datetime) -> list[Place]:
    """Of a statement that is composed for this filter alone, its values in it."""
    found: set[Place] = set()
    for way in ways(filter_.find):
        rows = log_rows(filter_, now, way=way)
        found |= set(composed(rows.select(rows.m.c.id, rows.d.c.subscription_id)).on(connection, {}))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_answers_as_what_is_composed_anew(
    mixed: BusByHand, insights: Insights, connection: db.Connection, seed: int
) -> None:
    asking = Asking(connection, seed)
    shapes, found_some = set(), 0
    for _ in range(80):
        filter_ = asking.filter()
        try:
            expected = found_anew(connection, filter_, asking.now)
        except InvalidFilter:
            with pytest.raises(InvalidFilter):
                insights.page(filter_, now=asking.now)
            continue
        shapes.add(shape_of(filter_, asking.now))
        found_some += bool(expected)
        page = insights.page(filter_, now=asking.now, size=1000)
        assert [(row.message_id, row.subscription_id) for row in page.rows] == expected, filter_
        assert insights.count(filter_, now=asking.now).value == len(expected), filter_
        assert insights.tally(filter_, now=asking.now).messages == len({place[0] for place in expected}), filter_
        assert sum(insights.by_state(filter_, now=asking.now).values()) == len(expected), filter_
        if expected:
            middle = len(expected) // 2
            cursor = Cursor(*expected[middle])
            for end, beyond in (
                ("older_than", expected[middle + 1 :]), ("newer_than", expected[:middle]), ("up_to", expected[middle:]),
            ):  # fmt: skip
                cut = insights.page(filter_, now=asking.now, size=1000, **{end: cursor})
                assert [(row.message_id, row.subscription_id) for row in cut.rows] == beyond, (filter_, end)
            assert filter_.find or insights.newer(filter_, cursor, now=asking.now).value == middle, filter_
    assert found_some > 20
    assert len(shapes) < 80


def test_a_value_that_is_not_bound_is_refused_and_not_guessed(connection: db.Connection) -> None:
    now = datetime.now(UTC)
    filter_ = Filter(key="S-1")
    statement = aggregates._how_many(shape_of(filter_, now))
    values = values_of(filter_, now)
    assert statement.on(connection, values).fetchall() == [(0,)]
    del values["key"]
    with pytest.raises(psycopg.ProgrammingError, match="key"):
        statement.on(connection, values)


def test_a_connection_that_died_in_the_pool_is_not_given(
    by_hand: BusByHand, insights: Insights, connection: db.Connection
) -> None:
    by_hand.emit("departed")
    for _ in range(2):
        assert [known.name for known in insights.names()] == ["departed"]
        with insights._reading(once=True) as used:
            pid = used.info.backend_pid
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        time.sleep(0.05)  # its last words are on their way
    assert [row.name for row in insights.page(Filter()).rows] == ["departed"]


def test_a_read_that_failed_leaves_a_connection_that_can_be_used(dsn: str) -> None:
    opened = Insights(dsn, statement_timeout_ms=500)
    for once in (True, False):
        with pytest.raises(DatabaseUnavailable, match="Narrow"), opened._reading(once=once) as used:
            used.execute("SELECT pg_sleep(30)")
        assert opened.page(Filter()).rows == []
    opened.close()
