"""Failure groups: one cause is one group, its count is that of the list behind it, and it has a life."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from buslog import Bus, RetryPolicy, db, folding
from buslog.config import Settings
from buslog.desk import Actor
from buslog.errors import InvalidFilter, NotFound, OperationRefused, RoleTooLow
from buslog.export import stream
from buslog.filter import Filter, Range
from buslog.groups import Groups
from buslog.insights import FailureGroup, GroupStatus, Insights, LogRow
from buslog.message import DeliveryRef, State
from buslog.operations import Operations
from buslog.replays import Replays
from tests.store.conftest import heard

if TYPE_CHECKING:
    from tests.conftest import BusByHand

ACTOR = Actor("local:anna", "cli")


@pytest.fixture
def groups(dsn: str) -> Groups:
    return Groups(dsn, ACTOR)


def fold(connection: db.Connection, places: int = 5_000) -> None:
    while connection.execute("SELECT buslog.fold_failures(%s)", (places,)).fetchone() == (True,):
        pass


def fail(
    by_hand: BusByHand, error: str, *, error_type: str = "CarrierTimeout", frame: str | None = "carrier.py:12 in ask",
    key: str | None = None, name: str = "departed", release: str = "r1",
) -> DeliveryRef:  # fmt: skip
    """One delivery of the first subscription that fails with this error."""
    message = by_hand.emit(name, key=key)
    settle(by_hand, error, error_type, frame, release)
    return DeliveryRef(message, "mail")


def settle(
    by_hand: BusByHand, error: str, error_type: str, frame: str | None, release: str, *, number: int = 1
) -> None:
    """All that is ready of a subscription fails."""
    by_hand.run(
        """SELECT buslog.settle(array_agg(c.message_id), array_agg(c.subscription_id), array_agg(c.ready_seq),
                                array_agg('failed'::text), NULL, NULL, array_agg(%s::text), array_agg(%s::text),
                                array_agg(%s::text), array_agg('Traceback: here'::text), NULL, 'host:1', %s, false)
           FROM buslog.claim(%s, ARRAY[%s::integer], NULL, 1000) AS c""",
        error_type, error, frame, release, by_hand.start_worker(), number,
    )  # fmt: skip


def only(insights: Insights, filter_: Filter | None = None, *, now: datetime | None = None) -> FailureGroup:
    (group,) = insights.failure_groups(filter_ or Filter(), now=now).groups
    return group


def audit(connection: db.Connection) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT actor, verb, reason, outcome FROM buslog.operations ORDER BY id").fetchall()


# ── what is one cause ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "key", "pattern"),
    [
        ("no answer within 5 s", None, "no answer within … s"),
        ("S-42 is not known to MAERSK", "S-42", "… is not known to MAERSK"),
        ("BOOKING is not known", "BOOKING", "… is not known"),
        ("OK is not known", "OK", "OK is not known"),  # too short to be looked for
        ("missing S-1, S-2 and 019a3c5e-7f10-7abc-8def-0123456789ab", None, "missing … and …"),
        ("shipment 'Anna''s box' of \"A\" at `b`", None, "shipment … of … at …"),
        ("can't find it; it won't do", None, "can't find it; it won't do"),
        ("at 2026-11-24T09:00:00.123Z from 10.0.0.1:8080", None, "at … from …"),
        ("HTTP 503 from https://carrier.example/v1?page=7", None, "HTTP 503 from https://carrier.example/…?page=…"),
        ("status code 401 for 4711", None, "status code 401 for …"),
        ("two\n  lines", None, "two lines"),
        ("x" * 3000, None, "x" * 200),
        ("", None, ""),
    ],
)
def test_what_differs_from_one_failure_to_the_next_is_left_out(
    connection: db.Connection, error: str, key: str | None, pattern: str
) -> None:
    assert connection.execute("SELECT buslog.error_pattern(%s, %s)", (error, key)).fetchone() == (pattern,)


def test_type_place_and_pattern_make_the_group_and_a_line_number_does_not(
    insights: Insights, by_hand: BusByHand
) -> None:
    by_hand.subscribe("mail", "departed", "arrived")
    fail(by_hand, "no answer within 5 s", key="S-1")
    fail(by_hand, "no answer within 60 s", key="S-2", frame="carrier.py:99 in ask", name="arrived")
    fail(by_hand, "no answer within 5 s", frame="carrier.py:12 in tell")
    fail(by_hand, "no answer within 5 s", error_type="TimeoutError")
    fail(by_hand, "no route within 5 s")
    found = insights.failure_groups(Filter()).groups
    assert sorted(group.count.value for group in found) == [1, 1, 1, 2]


def test_a_place_that_subscriptions_share_is_one_cause_and_without_a_place_each_is_its_own(
    insights: Insights, by_hand: BusByHand, connection: db.Connection
) -> None:
    by_hand.subscribe("mail", "departed")
    by_hand.subscribe("tracking", "departed")
    by_hand.emit("departed")
    by_hand.work(mail="failed", tracking="failed")
    fold(connection)
    assert (only(insights).count.value, only(insights).subscriptions) == (2, ["mail", "tracking"])
    by_hand.emit("departed")
    for number in (1, 2):
        settle(by_hand, "took longer than 5 s", "TimedOut", None, "r1", number=number)
    found = insights.failure_groups(Filter(error_type="TimedOut")).groups
    assert sorted(group.subscriptions for group in found) == [["mail"], ["tracking"]]


# ── exact ───────────────────────────────────────────────────────────────────────


def rows_of(insights: Insights, filter_: Filter, size: int = 3) -> list[LogRow]:
    page = insights.page(filter_, size=size)
    rows = list(page.rows)
    while page.older:
        page = insights.page(filter_, older_than=page.older, size=size)
        rows += page.rows
    return rows


@pytest.fixture
def causes(by_hand: BusByHand, dsn: str) -> BusByHand:
    """Three causes, failures that were replayed or cancelled, others of another day, and all that is not failed."""
    by_hand.subscribe("mail", "departed", "arrived")
    refs = [fail(by_hand, f"no answer within {n} s", key=f"S-{n % 3}") for n in range(8)]
    refs += [fail(by_hand, f"unknown customer '{n}'", error_type="LookupError", name="arrived") for n in range(4)]
    operations = Operations(dsn, ACTOR)
    operations.replay(refs[:2])
    by_hand.work(mail="succeeded")
    operations.replay([refs[2], refs[8]])
    settle(by_hand, "no answer within 7 s", "CarrierTimeout", "carrier.py:12 in ask", "r2")
    operations.cancel([refs[3], refs[9]], reason="nobody will mend it")
    operations.replay([refs[4]])
    by_hand.add_history("departed", "2012-02-29T10:00:00Z", key="S-0", state="failed")
    by_hand.emit("departed")
    by_hand.emit("nobodyListens")
    return by_hand


@pytest.mark.usefixtures("causes")
@pytest.mark.parametrize("is_folded", [False, True], ids=["not folded", "folded"])
def test_a_group_counts_what_its_list_shows_its_export_holds_and_its_run_takes(
    dsn: str, insights: Insights, connection: db.Connection, is_folded: bool
) -> None:
    if is_folded:
        fold(connection, places=3)
    for filter_ in (Filter(), Filter(range=Range.DAY), Filter(names=("departed",)), Filter(key="S-1"),
                    Filter(subscription="mail"), Filter(error_type="LookupError"), Filter(states=(State.FAILED,)),
                    Filter(names=("absent",)), Filter(states=(State.SUCCEEDED,)),
                    Filter(until=datetime(2013, 1, 1, tzinfo=UTC))):  # fmt: skip
        found = insights.failure_groups(filter_).groups
        failed = Filter(**{**_fields(filter_), "states": (State.FAILED,)})
        expected = 0 if filter_.states == (State.SUCCEEDED,) else insights.count(failed).value
        assert sum(group.count.value for group in found) == expected, filter_
        for group in found:
            own = Filter(**{**_fields(filter_), "group": group.fingerprint})
            rows = rows_of(insights, own)
            assert {row.state for row in rows} == {State.FAILED}
            assert [row.message_id for row in rows] == sorted((row.message_id for row in rows), reverse=True)
            count = group.count
            assert (len(rows), insights.count(own), insights.tally(own).rows) == (count.value, count, count)
            assert insights.by_state(own) == {State.FAILED: len(rows)}
            series = insights.series(own)
            assert (series.messages, series.failures) == (len(rows), len(rows))
            described = insights.failure_group(own)
            assert described is not None
            assert described.count == count
            exported = list(csv.DictReader(io.StringIO(b"".join(stream(dsn, own)).decode())))
            assert [row["message_id"] for row in exported] == [str(row.message_id) for row in rows]
            preview = Replays(dsn, ACTOR).preview(own)
            assert preview.eligible == len(rows)
            page = insights.page(own, size=2)
            if page.older:
                older = insights.page(own, older_than=page.older, size=2)
                assert insights.page(own, newer_than=older.newer, size=2).rows == page.rows
    fingerprint = insights.failure_groups(Filter()).groups[0].fingerprint
    assert insights.page(Filter(group=fingerprint, states=(State.SUCCEEDED,))).rows == []


def _fields(filter_: Filter) -> dict[str, Any]:
    return {name: getattr(filter_, name) for name in filter_.__dataclass_fields__}


def test_the_failures_are_the_failed_of_the_log_whatever_is_done(connection: db.Connection, causes: BusByHand) -> None:
    def check() -> None:
        differing = connection.execute(
            """SELECT * FROM (SELECT message_id, subscription_id, generation FROM buslog.failures
                              EXCEPT SELECT message_id, subscription_id, generation FROM buslog.ended_deliveries
                                     WHERE state = 'failed' AND latest) AS too_many
               UNION ALL
               SELECT * FROM (SELECT message_id, subscription_id, generation FROM buslog.ended_deliveries
                              WHERE state = 'failed' AND latest
                              EXCEPT SELECT message_id, subscription_id, generation FROM buslog.failures) AS missing"""
        ).fetchall()
        assert differing == []

    check()
    causes.run("SELECT buslog.cancel(array_agg(message_id), array_agg(subscription_id)) FROM buslog.failures")
    check()
    assert connection.execute("SELECT count(*) FROM buslog.failures").fetchone() == (0,)


def test_many_failures_of_a_group_are_counted_to_ten_thousand(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "departed")
    fail(by_hand, "no answer")
    by_hand.run("SELECT buslog.fold_failures(10)")
    by_hand.run(
        """INSERT INTO buslog.failures (message_id, subscription_id, generation, fingerprint)
           SELECT buslog.new_id(now()), 1, 1, fingerprint FROM buslog.failures, generate_series(1, 10000)"""
    )
    assert str(only(insights).count) == "10,000+"


def test_what_is_no_fingerprint_is_refused() -> None:
    for text in ("", "x", "0123456789ABCDEF", "0123456789abcdef0", "' OR 1=1"):
        with pytest.raises(InvalidFilter, match="group"):
            Filter(group=text)
    filter_ = Filter(group="0123456789abcdef")
    assert Filter.from_params(filter_.to_params()).group == filter_.group
    assert filter_.is_narrow


# ── what a group has lived through ──────────────────────────────────────────────


def test_a_group_knows_when_and_since_which_release_how_often_and_for_which_keys(
    insights: Insights, by_hand: BusByHand, connection: db.Connection, dsn: str
) -> None:
    by_hand.subscribe("mail", "departed", "arrived")
    first = fail(by_hand, "no answer within 5 s", key="S-1", release="r1")
    group = only(insights)
    assert (group.is_new, group.sample, group.names, group.subscriptions, group.total) == (
        True, "no answer within 5 s", ["departed"], ["mail"], 0,
    )  # fmt: skip
    fold(connection)
    fail(by_hand, "no answer within 6 s", key="S-1", release="r2")
    Operations(dsn, ACTOR).replay([first])
    settle(by_hand, "no answer within 8 s", "CarrierTimeout", "carrier.py:12 in ask", "r2")
    last = fail(by_hand, "no answer within 9 s", key="S-2", name="arrived", release="r3")
    fold(connection)
    group = only(insights)
    assert (group.is_new, group.error_type, group.place) == (False, "CarrierTimeout", "carrier.py in ask")
    assert (group.count.value, group.total, group.keys) == (3, 4, 2)
    assert (group.names, group.first_release, group.last_release) == (["arrived", "departed"], "r1", "r3")
    assert group.sample == "no answer within 9 s"
    assert group.first_seen < group.last_seen
    ended = connection.execute("SELECT min(finished_at), max(finished_at) FROM buslog.ended_deliveries").fetchone()
    assert (group.first_seen, group.last_seen) == ended
    sample = insights.failure_sample(group.fingerprint)
    assert sample is not None
    assert (sample.message_id, sample.error, sample.frame, sample.traceback, sample.code_version) == (
        last.message_id, "no answer within 9 s", "carrier.py:12 in ask", "Traceback: here", "r3",
    )  # fmt: skip


def test_the_trend_counts_failures_when_they_failed(
    insights: Insights, by_hand: BusByHand, connection: db.Connection
) -> None:
    by_hand.subscribe("mail", "departed")
    now = datetime.now(UTC)
    for hours in (0, 0, 2, 30, 24 * 20, 24 * 34, 24 * 36):
        by_hand.add_history("departed", (now - timedelta(hours=hours)).isoformat(), state="failed")
    fold(connection)
    hourly = only(insights, Filter(range=Range.DAY), now=now)
    assert (hourly.trend_step, len(hourly.trend)) == (timedelta(hours=1), 24)
    assert (hourly.trend[-1], hourly.trend[-3], sum(hourly.trend)) == (2, 1, 3)
    daily = only(insights, now=now)
    assert (daily.trend_step, len(daily.trend), sum(daily.trend), daily.trend[-21]) == (timedelta(days=1), 30, 5, 1)
    assert connection.execute("SELECT sum(failures) FROM buslog.failure_trend").fetchone() == (6,)


def test_a_group_is_acknowledged_assigned_noted_resolved_and_audited(
    insights: Insights, by_hand: BusByHand, connection: db.Connection, groups: Groups
) -> None:
    by_hand.subscribe("mail", "departed")
    fail(by_hand, "no answer")
    fingerprint = only(insights).fingerprint
    assert groups.acknowledge(fingerprint, reason="on it")  # though no worker has folded it yet
    assert not groups.acknowledge(fingerprint)
    assert groups.assign(fingerprint, "  Berta ")
    assert not groups.assign(fingerprint, "Berta")
    assert groups.note(fingerprint, "The carrier is down.\nTicket 12")
    group = only(insights)
    assert (group.status, group.owner, group.note) == (
        GroupStatus.ACKNOWLEDGED, "Berta", "The carrier is down.\nTicket 12",
    )  # fmt: skip
    assert groups.resolve(fingerprint)
    assert only(insights).resolved_at is not None
    with pytest.raises(OperationRefused, match="Reopen"):
        groups.acknowledge(fingerprint)
    assert groups.reopen(fingerprint)
    assert (only(insights).status, only(insights).resolved_at) == (GroupStatus.OPEN, None)
    assert groups.assign(fingerprint, "")
    assert groups.note(fingerprint, "")
    assert (only(insights).owner, only(insights).note) == (None, None)
    done = audit(connection)
    assert [(actor, verb) for actor, verb, *_ in done] == [
        ("local:anna", verb) for verb in ("acknowledge", "assign", "note", "resolve", "reopen", "assign", "note")
    ]
    assert done[0][2:] == ("on it", {"group": fingerprint, "from": "open"})
    assert done[1][3] == {"group": fingerprint, "from": None, "to": "Berta"}


def test_what_cannot_be_kept_is_refused_and_nothing_is_audited(
    connection: db.Connection, groups: Groups, by_hand: BusByHand, insights: Insights
) -> None:
    by_hand.subscribe("mail", "departed")
    fail(by_hand, "no answer")
    fingerprint = only(insights).fingerprint
    for owner in ("a\x00b", "x" * 201):
        with pytest.raises(OperationRefused):
            groups.assign(fingerprint, owner)
    for note in ("\x1b[2J", "x" * 2001):
        with pytest.raises(OperationRefused):
            groups.note(fingerprint, note)
    for unknown in ("0123456789abcdef", "nonsense", "\x00"):
        with pytest.raises(NotFound):
            groups.resolve(unknown)
    assert audit(connection) == []


def test_a_viewer_changes_nothing_by_any_verb_and_the_audit_has_what_was_tried(
    dsn: str, connection: db.Connection, by_hand: BusByHand, insights: Insights
) -> None:
    by_hand.subscribe("mail", "departed")
    fail(by_hand, "no answer")
    viewer, fingerprint = Groups(dsn, Actor("anna@example.com", "dashboard")), only(insights).fingerprint
    for change in (viewer.acknowledge, viewer.resolve, viewer.reopen):
        with pytest.raises(RoleTooLow):
            change(fingerprint)
    with pytest.raises(RoleTooLow):
        viewer.assign(fingerprint, "Berta")
    with pytest.raises(RoleTooLow):
        viewer.note(fingerprint, "mine")
    assert (only(insights).status, only(insights).owner, only(insights).note) == (GroupStatus.OPEN, None, None)
    assert [(verb, outcome["denied"]) for _, verb, _, outcome in audit(connection)] == [
        (verb, "viewer") for verb in ("acknowledge", "resolve", "reopen", "assign", "note")
    ]


def test_a_resolved_group_that_fails_again_opens_by_itself_and_the_audit_says_so(
    insights: Insights, by_hand: BusByHand, connection: db.Connection, groups: Groups
) -> None:
    by_hand.subscribe("mail", "departed")
    fail(by_hand, "no answer")
    fingerprint = only(insights).fingerprint
    groups.assign(fingerprint, "Berta")
    groups.resolve(fingerprint)
    fold(connection)
    assert only(insights).status is GroupStatus.RESOLVED
    fail(by_hand, "no answer")
    fold(connection)
    group = only(insights)
    assert (group.status, group.reopened, group.owner, group.resolved_at) == (GroupStatus.OPEN, 1, "Berta", None)
    assert audit(connection)[-1] == (
        "buslog", "reopen", "it came back", {"group": fingerprint, "from": "resolved"},
    )  # fmt: skip
    fail(by_hand, "no answer")
    fold(connection)
    assert (only(insights).reopened, len(audit(connection))) == (1, 3)


def test_a_failure_from_before_the_resolve_that_is_folded_late_does_not_reopen(
    insights: Insights, by_hand: BusByHand, connection: db.Connection, groups: Groups
) -> None:
    by_hand.subscribe("mail", "departed")
    fail(by_hand, "no answer")
    fingerprint = only(insights).fingerprint
    with db.connect(by_hand.dsn) as late:
        late.execute("BEGIN")
        late.execute(
            """INSERT INTO buslog.failure_arrivals
                   (fingerprint, message_id, subscription_id, generation, at, error_type, pattern)
               SELECT fingerprint, buslog.new_id(now()), 1, 1, clock_timestamp(), 'CarrierTimeout', ''
               FROM buslog.failures"""
        )
        groups.resolve(fingerprint)
        late.execute("COMMIT")
    fold(connection)
    assert (only(insights).status, only(insights).total) == (GroupStatus.RESOLVED, 2)


def test_groups_are_told_by_status_and_those_dealt_with_stay_in_sight(
    insights: Insights, by_hand: BusByHand, connection: db.Connection, groups: Groups, dsn: str
) -> None:
    by_hand.subscribe("mail", "departed")
    refs = {error: fail(by_hand, error) for error in ("left open", "seen", "mended", "gone")}
    of = {group.sample: group.fingerprint for group in insights.failure_groups(Filter()).groups}
    groups.acknowledge(of["seen"])
    groups.resolve(of["mended"])
    Operations(dsn, ACTOR).cancel([refs["mended"], refs["seen"], refs["gone"]], reason="over")
    found = insights.failure_groups(Filter(range=Range.DAY))
    assert found.by_status == {GroupStatus.OPEN: 1, GroupStatus.ACKNOWLEDGED: 1, GroupStatus.RESOLVED: 1}
    assert {(group.sample, group.count.value) for group in found.groups} == {
        ("left open", 1),
        ("seen", 0),
        ("mended", 0),
    }
    for status in GroupStatus:
        asked = insights.failure_groups(Filter(range=Range.DAY), status=status)
        assert [group.status for group in asked.groups] == [status]
        assert asked.by_status == found.by_status
    assert insights.failure_groups(Filter(names=("departed",))).by_status == {GroupStatus.OPEN: 1}
    later = Filter(since=datetime.now(UTC) + timedelta(hours=1))
    assert insights.failure_groups(later).groups == []
    described = insights.failure_group(Filter(group=of["gone"]))
    assert described is not None
    assert described.count.value == 0
    assert insights.failure_group(Filter(group="0123456789abcdef")) is None


# ── the fold ────────────────────────────────────────────────────────────────────


def test_folds_in_steps_and_in_turns_make_the_same_groups(
    insights: Insights, by_hand: BusByHand, connection: db.Connection
) -> None:
    by_hand.subscribe("mail", "departed")
    for number in range(7):
        fail(by_hand, "no answer", key=f"S-{number % 3}")
    assert connection.execute("SELECT buslog.fold_failures(3)").fetchone() == (True,)
    assert only(insights).total == 3
    fold(connection, 3)
    assert (only(insights).total, only(insights).keys, sum(only(insights).trend)) == (7, 3, 7)
    assert connection.execute("SELECT count(*) FROM buslog.failure_arrivals").fetchone() == (0,)


async def test_a_worker_groups_what_fails_by_itself(
    test_settings: Settings, insights: Insights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "FAILURES_EVERY", 0.05)
    bus = Bus(settings=test_settings)

    @bus.on("departed", retry=RetryPolicy(max_attempts=1))
    def broken(_: object) -> None:
        raise LookupError("customer 42 is not known")

    async with bus:
        await bus.emit("departed", {"shipmentId": "S-42"})
        async with asyncio.timeout(10):
            while not (found := insights.failure_groups(Filter()).groups) or found[0].is_new:
                await asyncio.sleep(0.05)
    assert (found[0].error_type, found[0].sample, found[0].keys) == ("LookupError", "customer 42 is not known", 1)
    assert found[0].place is not None
    assert found[0].place.endswith("test_groups.py in broken")


# ── how it is read ──────────────────────────────────────────────────────────────


def test_a_groups_list_is_read_from_its_own_index(
    insights: Insights, by_hand: BusByHand, connection: db.Connection
) -> None:
    by_hand.subscribe("mail", "departed")
    fail(by_hand, "rare")
    by_hand.run("SELECT buslog.emit('departed', '{}') FROM generate_series(1, 900)")
    settle(by_hand, "often", "CarrierTimeout", None, "r1")
    fold(connection)
    connection.execute("ANALYZE")
    of = {group.sample: group for group in insights.failure_groups(Filter()).groups}
    assert (of["rare"].count.value, of["often"].count.value) == (1, 900)
    rare, often = (Filter(group=of[sample].fingerprint) for sample in ("rare", "often"))
    assert _read(connection, lambda: insights.page(rare)) == 1
    assert _read(connection, lambda: insights.page(often)) == 51
    cursor = insights.page(often, size=600).older
    assert _read(connection, lambda: insights.page(often, older_than=cursor)) <= 53


def _read(connection: db.Connection, look: Any) -> Any:
    """Of how many failures a look reads the entries."""
    with heard() as asked:
        look()
    sql, values = asked[0]
    row = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + sql, values).fetchone()
    assert row is not None
    found = [node for node in _nodes(row[0][0]["Plan"]) if node.get("Relation Name") == "failures"]
    return float(
        sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in found)
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
