"""The series: what charts read instead of counting the log. Exact, whatever happens between two folds."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, LiteralString
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buslog import Bus, db, folding
from buslog.config import Settings
from buslog.desk import Actor
from buslog.errors import InvalidFilter
from buslog.filter import EARLIEST, LATEST, Filter, Range
from buslog.history import import_history
from buslog.insights import Insights, rollup
from buslog.insights.rollup import DAY, HOUR, MINUTE, MONDAY, quantile, split
from buslog.message import DeliveryRef, State
from buslog.operations import Operations
from tests.store.conftest import Scene, heard

if TYPE_CHECKING:
    from tests.conftest import BusByHand

NAMES = ("departed", "arrived", "nobodyListens")
SUBSCRIPTIONS = ("mail", "tracking")
STATES = ((State.FAILED,), (State.SUCCEEDED, State.PENDING, State.UNROUTED), (State.RETRYING, State.RUNNING))
FILTERS = [
    Filter(range=range_, names=names, subscription=subscription, states=states)
    for range_, states in (
        *((range_, ()) for range_ in (Range.ALL, Range.DAY, Range.SIX_HOURS, Range.MONTH)),
        *((Range.DAY, states) for states in STATES), (Range.ALL, STATES[1]),
    )
    for names in ((), ("departed",), ("departed", "nobodyListens"))
    for subscription in (None, "mail")
]  # fmt: skip


def fold(connection: db.Connection, places: int = 20_000) -> None:
    """Until nothing is left."""
    while _one(connection, "SELECT buslog.fold_series(%s)", places):
        pass


def assert_exact(
    insights: Insights,
    connection: db.Connection,
    now: datetime | None = None,
    filters: Sequence[Filter] = FILTERS,
) -> None:
    """Every chart and count equals a plain count of the log."""
    now = now or datetime.now(UTC)
    for filter_ in filters:
        rows, errors = _plainly(connection, filter_, now)
        series = insights.series(filter_, now=now)
        assert insights.by_state(filter_, now=now) == Counter(state for _, state in rows), filter_
        assert series.messages == len(rows if series.counts_rows else {message for message, _ in rows}), filter_
        assert series.failures == sum(state == "failed" for _, state in rows), filter_
        assert filter_.states or series.errors == errors, filter_  # by state: test_figures
        if not filter_.states and not filter_.names:
            assert +rollup.lasted(connection, filter_, now) == _lasted_plainly(connection, filter_, now), filter_


def _plainly(connection: db.Connection, filter_: Filter, now: datetime) -> tuple[list[Any], int]:
    """(message, state) of the filter's rows, and how many errors its deliveries had."""
    since, until = filter_.bounds(now)
    values = {
        "since": since or EARLIEST, "until": until or LATEST, "names": list(filter_.names),
        "subscription": filter_.subscription, "states": [str(state) for state in filter_.states],
    }  # fmt: skip
    of_filter = """emitted_at >= %(since)s AND emitted_at < %(until)s
                   AND (%(names)s::text[] = '{}' OR name = ANY (%(names)s))
                   AND (%(subscription)s::text IS NULL OR subscription = %(subscription)s)"""
    rows = connection.execute(
        f"""SELECT message_id, state FROM buslog.log WHERE {of_filter}
            AND (%(states)s::text[] = '{{}}' OR state = ANY (%(states)s))""", values,
    ).fetchall()  # fmt: skip
    errors = _one(
        connection,
        f"""SELECT count(*) FROM buslog.attempts a JOIN buslog.messages m ON m.id = a.message_id
            JOIN buslog.subscriptions s ON s.id = a.subscription_id WHERE {of_filter}""",
        values,
    )
    return rows, errors


def _lasted_plainly(connection: db.Connection, filter_: Filter, now: datetime) -> Counter[int]:
    since, until = filter_.bounds(now)
    rows = connection.execute(
        """SELECT buslog.duration_bucket(e.started_at, e.finished_at), count(*)
           FROM buslog.ended_deliveries e JOIN buslog.subscriptions s ON s.id = e.subscription_id
           WHERE e.latest AND e.state <> 'cancelled' AND e.started_at IS NOT NULL
             AND buslog.id_time(e.message_id) >= %s AND buslog.id_time(e.message_id) < %s
             AND (%s::text IS NULL OR s.subscription = %s) GROUP BY 1""",
        (since or EARLIEST, until or LATEST, filter_.subscription, filter_.subscription),
    ).fetchall()
    return Counter(dict(rows))


def _one(connection: db.Connection, statement: LiteralString | bytes, values: Any = ()) -> Any:
    row = connection.execute(statement, values if isinstance(values, dict | tuple) else (values,)).fetchone()
    assert row is not None
    return row[0]


def _total(connection: db.Connection, column: str = "messages") -> int:
    """What the series have, of all time."""
    total: int = _one(
        connection,
        f"""SELECT coalesce(sum({column}), 0) FROM buslog.series
            WHERE width = 86400 AND name = '' AND subscription_id = 0""",
    )
    return total


# ── exact after anything ────────────────────────────────────────────────────────


class History:
    """Random doings, and folds between them."""

    def __init__(self, dsn: str, scene: Scene, connection: db.Connection, seed: int) -> None:
        self.dsn, self.scene, self.connection = dsn, scene, connection
        self.random = random.Random(seed)
        self.operations = Operations(dsn, Actor("local:tester", "cli"))
        self.open: list[db.Connection] = []
        self.imported = 0

    async def step(self) -> None:
        doings = (self.emit, self.emit, self.work, self.work, self.replay, self.cancel, self.take_over, self.lose,
                  self.begin, self.end, self.fold, self.fold_at_once)  # fmt: skip
        await self.random.choice(doings)()

    async def emit(self) -> None:
        for _ in range(self.random.randrange(1, 6)):
            await self.scene.emit(self.random.choice(NAMES), delay=self.random.choice((None, None, 3600)))

    async def work(self) -> None:
        for claimed in await self.scene.claim(self.random.randrange(1, 20)):
            state = self.random.choice((State.SUCCEEDED, State.SUCCEEDED, State.FAILED, State.RETRYING, State.PENDING))
            await self.scene.settle(claimed, state, delay=0 if state is State.RETRYING else None)
        await self.scene.store.promote_due(100)

    async def replay(self) -> None:
        if ended := self._some("ended_deliveries", "latest"):
            self.operations.replay(ended, reason="sent again")

    async def cancel(self) -> None:
        failed = self._some("ended_deliveries", "latest AND state = 'failed'")
        if wanted := [*failed, *self._some("deliveries", "true")]:
            self.operations.cancel(wanted, reason="of no use")

    async def take_over(self) -> None:
        """Import a line of some time, and one that is known."""
        self.imported += self.random.randrange(2)
        said = datetime.now(UTC) - timedelta(hours=self.imported * self.random.choice((7, 40 * 24)))
        deliveries = [{"subscription": "mail", "state": self.random.choice(("failed", "succeeded")),
                       "finished_at": datetime.now(UTC).isoformat()}]  # fmt: skip
        line = {"name": self.random.choice(NAMES), "emitted_at": said.isoformat(), "payload": {},
                "deliveries": deliveries * self.random.randrange(2)}  # fmt: skip
        import_history(self.dsn, [json.dumps(line).encode()] * 2, Actor("local:tester", "cli"))

    async def lose(self) -> None:
        await self.scene.claim(1)
        await self.scene.lose(self.connection)

    async def begin(self) -> None:
        """A transaction that stays open."""
        opened = db.connect(self.dsn)
        opened.execute("BEGIN")
        opened.execute("SELECT buslog.emit(%s, '{}')", [self.random.choice(NAMES)])
        opened.execute("SAVEPOINT s")
        opened.execute("SELECT buslog.emit('arrived', '{}')")
        self.open.append(opened)

    async def end(self) -> None:
        for opened in self.open[:1]:
            opened.execute(self.random.choice(("COMMIT", "ROLLBACK", "ROLLBACK TO s; COMMIT")))
            opened.close()
        self.open = self.open[1:]

    async def fold(self) -> None:
        for _ in range(self.random.randrange(4)):
            await self.scene.store.fold(self.random.randrange(1, 10))

    async def fold_at_once(self) -> None:
        """Two folds, one of which is rolled back by the death of its process."""
        with db.connect(self.dsn) as killed:
            killed.execute("BEGIN")
            killed.execute("SELECT buslog.fold_series(5)")
            assert not await self.scene.store.fold(5), "two fold at once"
            pid = killed.info.backend_pid
            self.connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            killed.close()

    def _some(self, table: str, condition: str) -> list[DeliveryRef]:
        rows = self.connection.execute(
            f"""SELECT message_id, s.subscription FROM buslog.{table} d
                JOIN buslog.subscriptions s ON s.id = d.subscription_id WHERE {condition}"""
        ).fetchall()
        return [DeliveryRef(*row) for row in self.random.sample(rows, min(len(rows), self.random.randrange(1, 4)))]


@pytest.mark.parametrize("seed", range(4))
async def test_charts_and_counts_are_exact_after_any_history(
    dsn: str, scene: Scene, connection: db.Connection, insights: Insights, seed: int
) -> None:
    await scene.subscribe("mail", list(NAMES[:2]))
    await scene.subscribe("tracking", "departed")
    for name in NAMES:  # a transaction that stays open holds up an import of a name that only it knows
        await scene.emit(name)
    history = History(dsn, scene, connection, seed)
    for step in range(100):
        await history.step()
        if step % 10 == 0:
            assert_exact(insights, connection, filters=history.random.sample(FILTERS, 3))
    for opened in history.open:
        opened.execute("COMMIT")
        opened.close()
    fold(connection)
    assert_exact(insights, connection)
    assert _total(connection) == _one(connection, "SELECT count(*) FROM buslog.messages")
    assert _total(connection, "errors") == _one(connection, "SELECT count(*) FROM buslog.attempts")
    states: dict[str, int] = dict(
        connection.execute("SELECT state, count(*) FROM buslog.log GROUP BY state").fetchall()
    )
    for state in ("succeeded", "failed", "cancelled", "unrouted", "imported"):
        assert _total(connection, state) == states.get(state, 0)


# ── the snapshot ────────────────────────────────────────────────────────────────


CURSORS = {  # what a fold could keep of the snapshot that it read by
    "the snapshot": "seen",
    "its xmax": "(pg_snapshot_xmax(seen)::text || ':' || pg_snapshot_xmax(seen)::text || ':')::pg_snapshot",
    "its xmin": "(pg_snapshot_xmin(seen)::text || ':' || pg_snapshot_xmin(seen)::text || ':')::pg_snapshot",
}


@pytest.mark.parametrize(("cursor", "counted"), [("the snapshot", 3), ("its xmax", 2), ("its xmin", 4)])
def test_a_late_commit_is_counted_once_and_a_lesser_cursor_misses_it_or_counts_others_twice(
    dsn: str, connection: db.Connection, cursor: str, counted: int
) -> None:
    with db.connect(dsn) as late, db.connect(dsn) as gone:
        for opened in (late, gone):
            opened.execute("BEGIN")
            opened.execute("SELECT buslog.emit('a', '{}')")
        connection.execute("SELECT buslog.emit('b', '{}')")
        fold(connection)
        assert _total(connection) == 1
        connection.execute(f"UPDATE buslog.series_state SET seen = {CURSORS[cursor]}")
        late.execute("COMMIT")
        gone.execute("ROLLBACK")
        connection.execute("SELECT buslog.emit('c', '{}')")
        fold(connection)
    assert _total(connection) == counted
    fold(connection)
    assert _total(connection) == counted, "and nothing more"


def test_a_fold_by_id_would_miss_what_commits_late(dsn: str, connection: db.Connection) -> None:
    """Why the ids are no cursor, although they carry the time."""
    with db.connect(dsn) as late:
        late.execute("BEGIN")
        late.execute("SELECT buslog.emit('a', '{}')")
        connection.execute("SELECT buslog.emit('b', '{}')")
        newest = _one(connection, "SELECT max(id::text) FROM buslog.messages")
        late.execute("COMMIT")
    assert _one(connection, "SELECT count(*) FROM buslog.messages WHERE id > %s", newest) == 0


async def test_a_fold_takes_whole_transactions_about_as_many_rows_as_it_is_told(
    dsn: str, connection: db.Connection, scene: Scene
) -> None:
    for _ in range(10):
        await scene.emit()
    connection.execute("SELECT buslog.emit('bulk', '{}') FROM generate_series(1, 50)")
    await scene.emit()
    totals = []
    while await scene.store.fold(3):
        totals.append(_total(connection))
    assert totals == [4, 8, 60]
    assert _total(connection) == 61


async def test_where_nothing_is_said_a_fold_writes_nothing(connection: db.Connection, scene: Scene) -> None:
    await scene.emit()
    fold(connection)
    state = "SELECT xmin::text FROM buslog.series_state"
    before = _one(connection, state)
    fold(connection)
    assert _one(connection, state) == before


async def test_a_second_fold_waits_for_nobody_and_counts_nothing(
    dsn: str, connection: db.Connection, scene: Scene
) -> None:
    await scene.emit()
    with db.connect(dsn) as folding:
        folding.execute("BEGIN")
        folding.execute("SELECT buslog.fold_series(100)")
        assert not await scene.store.fold(100)
        assert _total(connection) == 0
        folding.execute("COMMIT")
    fold(connection)
    assert _total(connection) == 1


async def test_what_commits_while_a_fold_is_under_way_is_left_to_the_next(
    dsn: str, connection: db.Connection, scene: Scene
) -> None:
    with db.connect(dsn) as late, db.connect(dsn) as holding:
        late.execute("BEGIN")
        late.execute("SELECT buslog.emit('a', '{}')")
        await scene.emit()
        holding.execute("BEGIN")
        holding.execute("SELECT FROM buslog.series_state FOR UPDATE")
        folding = asyncio.create_task(scene.store.fold(100))  # has its snapshot, and waits
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%fold_series%%'"
        async with asyncio.timeout(10):
            while not _one(connection, waits):
                await asyncio.sleep(0.01)
        late.execute("COMMIT")
        holding.execute("COMMIT")
        await folding
    assert _total(connection) == 1
    fold(connection)
    assert _total(connection) == 2


async def test_a_log_restored_to_another_server_is_counted_anew(
    insights: Insights, connection: db.Connection, scene: Scene
) -> None:
    """There the transactions have other numbers: those of the log lie in the past, or are still to come."""
    await scene.subscribe("mail", list(NAMES[:2]))
    for name in NAMES * 4:
        await scene.emit(name)
    for number, claimed in enumerate(await scene.claim(8)):
        await scene.settle(claimed, State.FAILED if number % 2 else State.SUCCEEDED)
    connection.execute("SELECT buslog.cancel(array_agg(message_id), array_agg(subscription_id))"
                       " FROM buslog.ended_deliveries WHERE state = 'failed'")  # fmt: skip
    fold(connection)
    connection.execute("UPDATE buslog.series_state SET server = server + 1, seen = '900000000:900000000:'")
    for table, column in (("messages", "xid"), ("ended_deliveries", "xid"), ("ended_deliveries", "superseded"),
                          ("attempts", "xid")):  # fmt: skip
        connection.execute(f"UPDATE buslog.{table} SET {column} = '800000000' WHERE {column} IS NOT NULL")
    await scene.emit()
    assert_exact(insights, connection)
    assert await scene.store.fold(3)
    assert_exact(insights, connection)
    fold(connection, 3)
    await scene.emit()
    assert_exact(insights, connection)
    fold(connection)
    assert_exact(insights, connection)
    assert _total(connection) == 14


async def test_a_fold_in_the_middle_of_a_look_changes_nothing_of_what_is_seen(
    insights: Insights, connection: db.Connection, scene: Scene
) -> None:
    await scene.emit()
    fold(connection)
    await scene.emit()
    folds = []

    def fold_first(sql: bytes) -> None:
        if b"series_facts" in sql:
            folds.append(sql)
            fold(connection)

    with heard(fold_first):
        assert insights.by_state(Filter()) == {State.UNROUTED: 2}
    assert folds
    assert _total(connection) == 2


# ── minutes, hours, days ────────────────────────────────────────────────────────


async def test_minutes_and_hours_go_when_they_are_old_and_days_stay(
    insights: Insights, connection: db.Connection, by_hand: BusByHand
) -> None:
    by_hand.subscribe("mail", *NAMES[:2])
    now = datetime.now(UTC)
    ages = [timedelta(minutes=3), timedelta(hours=47), timedelta(hours=50), timedelta(days=99), timedelta(days=102)]
    for age in ages:
        for state in ("imported", "failed", "succeeded"):
            by_hand.add_history("departed", (now - age).isoformat(), state=state)
    days = len({(now - age).date() for age in ages})
    fold(connection)
    kept = "SELECT width, count(*) FROM buslog.series WHERE name = '' AND subscription_id = 0 GROUP BY 1 ORDER BY 1"
    assert connection.execute(kept).fetchall() == [(60, 2), (3600, 4), (86400, days)]
    assert_exact(insights, connection, now)
    # As if the last fold had been long ago.
    connection.execute(
        "UPDATE buslog.series SET at = at - interval '5 days' WHERE width = 60 AND at < now() - interval '1 day'"
    )
    connection.execute("UPDATE buslog.series_state SET minutes_from = minutes_from - interval '5 days'")
    fold(connection)
    assert connection.execute(kept).fetchall() == [(60, 1), (3600, 4), (86400, days)]


@given(
    st.timedeltas(timedelta(days=7000), timedelta(days=7200)).map(MONDAY.__add__),
    st.timedeltas(timedelta(0), timedelta(days=200)),
    st.sampled_from([timedelta(0), timedelta(days=2), timedelta(days=90)]),
)
def test_a_range_is_split_without_gap_or_overlap(since: datetime, length: timedelta, kept: timedelta) -> None:
    until = since + length
    day = until.replace(hour=0, minute=0, second=0, microsecond=0)
    widths = {DAY: EARLIEST, HOUR: day - kept * 10, MINUTE: day - kept}
    pieces = split(since, until, list(widths.items()))
    assert [piece.since for piece in pieces] + [until] == [since, *(piece.until for piece in pieces)] or length == ZERO
    for piece in pieces:
        assert piece.since < piece.until
        if piece.width:
            assert piece.since >= widths[piece.width]
            assert (piece.since - MONDAY) % piece.width == (piece.until - MONDAY) % piece.width == ZERO
    counted = [bool(piece.width) for piece in pieces]
    assert True not in itertools.dropwhile(bool, itertools.dropwhile(lambda is_row: not is_row, counted))


ZERO = timedelta(0)


# ── subscribers ─────────────────────────────────────────────────────────────────


async def test_each_subscriber_has_its_figures(
    insights: Insights, connection: db.Connection, by_hand: BusByHand
) -> None:
    by_hand.subscribe("mail", "departed")
    by_hand.subscribe("tracking", "departed")
    by_hand.subscribe("idle", "arrived")
    for _ in range(10):
        by_hand.emit("departed")
    by_hand.work(mail="failed")
    connection.execute("UPDATE buslog.ended_deliveries SET finished_at = started_at + interval '2 seconds'")
    connection.execute("UPDATE buslog.subscriptions SET paused_at = now() WHERE subscription = 'tracking'")
    for part in range(3):
        by_subscription = {one.subscription: one for one in insights.subscribers(Filter(range=Range.HOUR))}
        assert list(by_subscription) == ["idle", "mail", "tracking"]
        mail, tracking, idle = (by_subscription[name] for name in ("mail", "tracking", "idle"))
        assert (mail.succeeded, mail.failed, mail.cancelled, mail.failure_rate) == (0, 10, 0, 1.0)
        assert (tracking.succeeded, tracking.failed, tracking.failure_rate) == (10, 0, 0.0)
        assert (idle.succeeded, idle.failure_rate, idle.p99, idle.per_second) == (0, None, None, 0)
        assert mail.per_second == pytest.approx(10 / 3600)
        for lasted in (mail.p50, mail.p95, mail.p99):
            assert lasted is not None
            assert lasted.total_seconds() == pytest.approx(2, rel=0.1)
        assert (mail.live_workers, mail.backlog, mail.circuit_opened_at) == (1, int(part > 1), None)
        assert (mail.oldest is None) == (mail.backlog == 0)
        assert (mail.paused_at, tracking.paused_at) == (None, ANY)
        assert mail.policy.retry.max_attempts == 3
        if part == 0:
            fold(connection)
        else:
            by_hand.emit("departed")
    assert [one.subscription for one in insights.subscribers(Filter(subscription="mail"))] == ["mail"]
    with pytest.raises(InvalidFilter):
        insights.subscribers(Filter(names=("departed",)))


@pytest.mark.parametrize("seconds", [0.00005, 0.004, 0.7, 3.0, 90.0, 40_000.0])
def test_a_duration_is_told_to_within_a_tenth(connection: db.Connection, seconds: float) -> None:
    bucket = _one(connection, "SELECT buslog.duration_bucket(now(), now() + make_interval(secs => %s))", seconds)
    lasted = quantile(Counter({bucket: 1}), 0.5)
    assert lasted is not None
    assert lasted.total_seconds() == pytest.approx(seconds, rel=0.1)


def test_what_was_imported_never_ran_here_and_has_no_duration(
    by_hand: BusByHand, insights: Insights, connection: db.Connection
) -> None:
    by_hand.subscribe("mail", "departed")
    by_hand.add_history("departed", "2025-05-05T10:00:00Z", state="failed")
    for _ in range(2):
        (mail,) = insights.subscribers(Filter())
        assert (mail.failed, mail.p50, mail.p99) == (1, None, None)
        fold(connection)


# ── the loop, the plans ─────────────────────────────────────────────────────────


async def test_a_worker_folds_by_itself(
    dsn: str, test_settings: Settings, connection: db.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "FOLD_EVERY", 0.05)
    bus = Bus(settings=test_settings)
    async with bus:
        await bus.emit("departed")
        async with asyncio.timeout(10):
            while _total(connection) < 1:
                await asyncio.sleep(0.05)


def test_a_chart_reads_the_series_and_looks_only_at_what_is_not_in_them(
    dsn: str, insights: Insights, connection: db.Connection
) -> None:
    connection.execute("SELECT buslog.register('mail', '{departed}', 'event', '{}', NULL, '', 'test')")
    connection.execute("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 5000)")
    connection.execute("""INSERT INTO buslog.ended_deliveries
                              (message_id, subscription_id, generation, attempts, repeats, state, finished_at)
                          SELECT id, 1, 1, 1, 0, 'succeeded', now() FROM buslog.messages""")
    fold(connection)
    connection.execute("ANALYZE")
    connection.execute("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 5)")
    with heard() as statements:
        for filter_ in (
            Filter(since=EARLIEST),
            Filter(since=EARLIEST, names=("departed",), subscription="mail"),
            Filter(since=EARLIEST, states=(State.SUCCEEDED,)),
        ):
            insights.series(filter_)
            insights.by_state(filter_)
        insights.subscribers(Filter())
    asked = [(sql, values) for sql, values in statements if b"series_facts" in sql]
    assert len(asked) == 8
    for sql, values in asked:
        plan = _one(connection, b"EXPLAIN (ANALYZE, FORMAT JSON) " + sql, values)[0]["Plan"]
        for node in _nodes(plan):
            if str(node.get("Relation Name", "")).startswith(("messages_", "ended_deliveries_", "attempts_")):
                assert node["Actual Rows"] <= 10, node


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
