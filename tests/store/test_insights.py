"""The reads, on every PostgreSQL that buslog supports."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from buslog import db
from buslog.errors import DatabaseUnavailable, InvalidFilter, Misconfigured
from buslog.filter import Filter, Range
from buslog.insights import Count, Cursor, Insights, LogRow
from buslog.insights.rows import frozen_set
from buslog.insights.statements import composed
from buslog.message import State

if TYPE_CHECKING:
    from tests.conftest import BusByHand


@pytest.fixture
def busy(by_hand: BusByHand) -> BusByHand:
    """Two subscriptions, most states, deliveries in their second generation, and a past."""
    by_hand.subscribe("tracking.update", "shipmentDeparted")
    by_hand.subscribe("mail.notify", "shipmentDeparted")
    for number in range(6):
        by_hand.emit("shipmentDeparted", key=f"S-{number % 2}")
    by_hand.work(**{"mail.notify": "failed"})
    by_hand.run(
        """SELECT buslog.replay(ARRAY[message_id], ARRAY[subscription_id])
           FROM buslog.ended_deliveries WHERE state = 'failed' LIMIT 2"""
    )
    by_hand.work()
    by_hand.emit("shipmentDeparted", key="S-9")
    by_hand.work(**{"mail.notify": "retrying"})
    by_hand.emit("shipmentDeparted", key="S-9")
    by_hand.emit("nobodyListens", key="S-9")
    by_hand.add_history("T02 Check", "2011-05-05T10:00:00Z", key="case-1")
    by_hand.add_history("shipmentDeparted", "2012-02-29T10:00:00Z", key="S-0", state="failed")
    by_hand.add_history("shipmentDeparted", "2012-03-01T10:00:00Z", key="S-0", state="cancelled")
    return by_hand


FILTERS = [
    Filter(),
    Filter(range=Range.DAY),
    Filter(key="S-0"),
    Filter(names=("shipmentDeparted",)),
    Filter(names=("shipmentDeparted", "T02 Check")),
    Filter(names=("absent",)),
    Filter(states=(State.FAILED,)),
    Filter(states=(State.FAILED,), key="S-1"),
    Filter(states=(State.SUCCEEDED,)),
    Filter(states=(State.CANCELLED,)),
    Filter(states=(State.UNROUTED,)),
    Filter(states=(State.IMPORTED,)),
    Filter(states=(State.PENDING, State.RETRYING)),
    Filter(states=(State.FAILED, State.PENDING, State.RETRYING)),
    Filter(states=(State.FAILED, State.SUCCEEDED, State.IMPORTED)),
    Filter(states=(State.BLOCKED,)),
    Filter(subscription="mail.notify"),
    Filter(subscription="mail.notify", states=(State.FAILED,)),
    Filter(subscription="unknown"),
    Filter(subscription="unknown", states=(State.FAILED,)),
    Filter(states=(State.FAILED,), since=datetime(2012, 1, 1, tzinfo=UTC), until=datetime(2013, 1, 1, tzinfo=UTC)),
    Filter(states=(State.FAILED,), range=Range.DAY),
    Filter(error_type="CarrierTimeout"),
    Filter(error_type="CarrierTimeout", states=(State.RETRYING,)),
    Filter(since=datetime(2011, 1, 1, tzinfo=UTC), until=datetime(2012, 3, 1, 10, tzinfo=UTC)),
    Filter(since=datetime(2012, 3, 1, 10, tzinfo=UTC), until=datetime(2013, 1, 1, tzinfo=UTC)),
]


def from_the_view(connection: db.Connection, filter_: Filter) -> list[tuple[Any, ...]]:
    """What the public view answers, filtered by Python: another road to the same rows."""
    since, until = filter_.bounds(datetime.now(UTC))
    rows = connection.execute(
        """SELECT message_id, subscription, state, name, key, emitted_at, attempts, last_error_type, finished_at
           FROM buslog.log"""
    ).fetchall()
    return [
        row
        for row in rows
        if (not filter_.names or row[3] in filter_.names)
        and (filter_.key is None or row[4] == filter_.key)
        and (filter_.subscription is None or row[1] == filter_.subscription)
        and (not filter_.states or row[2] in filter_.states)
        and (filter_.error_type is None or row[7] == filter_.error_type)
        and (since is None or row[5] >= since)
        and (until is None or row[5] < until)
    ]


def in_short(row: LogRow) -> tuple[Any, ...]:
    return (row.message_id, row.subscription, row.state, row.name, row.key, row.emitted_at, row.attempts,
            row.last_error_type, row.finished_at)  # fmt: skip


def all_pages(insights: Insights, filter_: Filter, size: int) -> list[LogRow]:
    page = insights.page(filter_, size=size)
    rows = list(page.rows)
    while page.older:
        page = insights.page(filter_, older_than=page.older, size=size)
        rows += page.rows
    return rows


@pytest.mark.usefixtures("busy")
def test_list_count_states_and_chart_agree_with_the_public_view(
    insights: Insights, connection: db.Connection, subtests: pytest.Subtests
) -> None:
    for filter_ in FILTERS:
        with subtests.test(repr(filter_)):
            check_agreement(insights, connection, filter_)


def check_agreement(insights: Insights, connection: db.Connection, filter_: Filter) -> None:
    expected = from_the_view(connection, filter_)
    rows = all_pages(insights, filter_, size=3)
    assert Counter(map(in_short, rows)) == Counter(expected)
    assert [row.message_id for row in rows] == sorted((row[0] for row in expected), reverse=True)
    frozen = composed(frozen_set(filter_, datetime.now(UTC))).on(connection, {}).fetchall()
    assert frozen == sorted(frozen), "the oldest first"
    names = {None: 0, **dict(connection.execute("SELECT subscription, id FROM buslog.subscriptions").fetchall())}
    assert [(row[0], row[1], row[3]) for row in frozen] == sorted((row[0], names[row[1]], row[2]) for row in expected)
    assert insights.count(filter_) == Count(len(expected))
    tally = insights.tally(filter_)
    assert (tally.rows.value, tally.messages) == (len(expected), len({row[0] for row in expected}))
    assert (tally.names, tally.keys) == (len({row[3] for row in expected}), len({row[4] for row in expected} - {None}))
    assert insights.by_state(filter_) == Counter(row[2] for row in expected)
    series = insights.series(filter_)
    assert series.messages == (len(expected) if series.counts_rows else len({row[0] for row in expected}))
    assert series.failures == sum(row[2] == "failed" for row in expected)
    groups = insights.failure_groups(filter_).groups
    assert sum(group.count.value for group in groups) == sum(row[2] == "failed" for row in expected)


@pytest.mark.usefixtures("busy")
def test_pages_go_forth_and_back_over_the_same_rows(insights: Insights) -> None:
    newest = insights.page(Filter(), size=4)
    assert newest.newer is None
    older = insights.page(Filter(), older_than=newest.older, size=4)
    back = insights.page(Filter(), newer_than=older.newer, size=4)
    assert back.rows == newest.rows
    assert back.newer is None
    assert back.older == newest.older


def test_a_new_message_does_not_shift_the_page_under_the_reader(insights: Insights, busy: BusByHand) -> None:
    newest = insights.page(Filter(), size=4)
    before = insights.page(Filter(), older_than=newest.older, size=4).rows
    busy.emit("shipmentDeparted")
    assert insights.page(Filter(), older_than=newest.older, size=4).rows == before


@pytest.mark.parametrize("text", ["", "-1", "zz-1", f"{uuid.UUID(int=1)}-1", f"{1:032x}-x", f"{1:032x}-99999999999"])
def test_a_cursor_that_we_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(InvalidFilter):
        Cursor.parse(text)


def test_an_empty_range_knows_what_lies_outside(insights: Insights, by_hand: BusByHand) -> None:
    for day in range(1, 4):
        by_hand.add_history("T02 Check", f"2011-05-0{day}T10:00:00Z")
    assert insights.page(Filter(range=Range.DAY)).rows == []
    assert insights.outside(Filter(range=Range.DAY)).older == Count(3)
    second = datetime(2011, 5, 2, tzinfo=UTC)
    around = insights.outside(Filter(since=second, until=second + timedelta(days=1)))
    assert (around.older, around.newer) == (Count(1), Count(1))


def test_a_count_is_exact_to_ten_thousand(insights: Insights, by_hand: BusByHand, connection: db.Connection) -> None:
    by_hand.emit("first")
    connection.execute(
        """INSERT INTO buslog.messages
               (id, kind, routed, emitted_at, correlation_id, causation_id, name, key, source, actor, payload)
           SELECT buslog.new_id(emitted_at), kind, routed, emitted_at, correlation_id, causation_id, name, key, source,
                  actor, payload
           FROM buslog.messages, generate_series(1, 9999)"""
    )
    assert str(insights.count(Filter())) == "10,000"
    by_hand.emit("one more")
    assert str(insights.count(Filter())) == "10,000+"


def test_a_series_has_no_gaps_and_no_more_buckets_than_a_screen_shows(insights: Insights, busy: BusByHand) -> None:
    for range_ in Range:
        points = insights.series(Filter(range=range_)).points
        assert len(points) <= 241
        assert {b.at - a.at for a, b in itertools.pairwise(points)} == {insights.series(Filter(range=range_)).bucket}
    assert insights.series(Filter(range=Range.DAY)).errors == 7  # six failed at once, one retries


@pytest.mark.usefixtures("busy")
def test_the_oldest_message_of_all_has_its_place_in_the_chart(insights: Insights) -> None:
    first = insights.series(Filter(key="case-1"))
    assert sum(point.messages for point in first.points) == 1


def test_a_message_shows_its_deliveries_in_all_generations(insights: Insights, by_hand: BusByHand, dsn: str) -> None:
    by_hand.subscribe("mail.notify", "shipmentDeparted")
    message = by_hand.emit("shipmentDeparted", '{"shipmentId": "S-42", "big": 12345678901234567890123}')
    by_hand.work(**{"mail.notify": "failed"})
    with db.connect(dsn) as connection:
        connection.execute("SELECT buslog.replay(ARRAY[%s], ARRAY[1])", (message,))
    by_hand.work()
    detail = insights.message(message)
    assert detail is not None
    assert detail.key == "S-42"
    assert "12345678901234567890123" in detail.payload
    latest, earlier = insights.deliveries(message)
    assert (latest.generation, latest.state, latest.is_latest) == (2, State.SUCCEEDED, True)
    assert latest.result is not None
    assert (earlier.generation, earlier.state, earlier.is_latest) == (1, State.FAILED, False)
    (attempt,) = insights.attempts(message)
    assert (attempt.error_type, attempt.frame) == ("CarrierTimeout", "carrier.py:12 in ask")
    assert not hasattr(attempt, "traceback")


def test_an_unknown_message_is_nothing(insights: Insights) -> None:
    assert insights.message(uuid.uuid4()) is None
    assert insights.deliveries(uuid.uuid4()) == []


def test_a_large_payload_is_cut_and_says_so(insights: Insights, by_hand: BusByHand) -> None:
    detail = insights.message(by_hand.emit("big", '{"text": "%s"}' % ("x" * 200_000)))
    assert detail is not None
    assert len(detail.payload) == 64_000
    assert detail.payload_is_cut
    assert detail.payload_bytes > 200_000


def test_the_bus_now_counts_backlog_workers_names_and_commands(insights: Insights, by_hand: BusByHand) -> None:
    assert insights.backlog().total == 0
    by_hand.subscribe(
        "tracking.resync", "resyncTracking", kind="command", schema='{"type": "object"}', description="Ask again."
    )
    by_hand.emit("resyncTracking", '{"shipmentId": "S-1"}')
    assert insights.commands()[0].is_hosted is False
    backlog = insights.backlog()
    assert backlog.by_state == {State.PENDING: 1}
    assert backlog.oldest is not None
    by_hand.work()
    (worker,) = insights.live_workers()
    assert worker.hosts == ["tracking.resync"]
    (command,) = insights.commands()
    assert (command.name, command.schema, command.is_hosted) == ("resyncTracking", {"type": "object"}, True)
    (run,) = insights.command_runs("resyncTracking")
    assert run.state is State.SUCCEEDED
    assert run.result is not None
    assert [name.name for name in insights.names()] == ["resyncTracking"]


def test_reads_cannot_write(insights: Insights) -> None:
    with pytest.raises(DatabaseUnavailable), insights._reading() as connection:
        connection.execute("INSERT INTO buslog.names VALUES ('x', 'event', now())")


def test_a_read_that_takes_too_long_says_what_to_narrow(dsn: str) -> None:
    impatient = Insights(dsn, statement_timeout_ms=20)
    with pytest.raises(DatabaseUnavailable, match="Narrow"), impatient._reading() as connection:
        connection.execute("SELECT pg_sleep(1)")
    impatient.close()


def test_a_database_that_is_down_or_empty_is_told_apart(empty_dsn: str) -> None:
    nowhere = Insights("postgresql://user:secret@127.0.0.1:1/nowhere")
    with pytest.raises(DatabaseUnavailable) as down:
        nowhere.names()
    assert "secret" not in str(down.value)
    without_schema = Insights(empty_dsn)
    with pytest.raises(Misconfigured, match="migrate"):
        without_schema.names()
    without_schema.close()
