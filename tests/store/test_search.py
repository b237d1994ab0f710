"""What is searched by id, key, ref, error text, thread and payload: lists, counts, charts and exports agree on it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from buslog import db
from buslog.errors import InvalidFilter
from buslog.export import stream
from buslog.filter import Filter, Range
from buslog.insights import Count, Cursor, Insights, LogRow
from buslog.message import State

if TYPE_CHECKING:
    from tests.conftest import BusByHand


@pytest.fixture
def said(by_hand: BusByHand, connection: db.Connection) -> dict[str, UUID]:
    """Six messages by what they are good for."""
    by_hand.subscribe("mail.notify", "departed")
    by_hand.subscribe("tracking.update", "departed")
    connection.execute("SELECT buslog.set_ref_fields('{containers.*,bill}')")
    first = by_hand.emit("departed", '{"containers": ["MSKU1", "TGHU2"], "n": 1, "deep": {"a": [1, 2]}}', "S-1")
    said = {
        "first": first,
        "second": by_hand.emit("departed", '{"containers": ["msku1"], "n": 2}', "S-2"),
        "caused": by_hand.emit("mailed", '{"bill": "S-1"}', "S-3", first),
        "key and ref": by_hand.emit("bare", '{"bill": "S-9"}', "S-9"),
        "blank": by_hand.emit("bare", "{}", "case 4"),
    }
    by_hand.work(**{"mail.notify": "failed"})
    lost = "UPDATE buslog.ended_deliveries SET error = %s WHERE state = 'failed' AND message_id = %s"
    connection.execute(lost, ("100 of it", first))
    connection.execute(lost, ("100% of_it\\ is lost", said["second"]))
    connection.execute("SELECT buslog.fold_refs(1000)")
    return said


def rows(insights: Insights, filter_: Filter) -> list[LogRow]:
    found: list[LogRow] = []
    page = insights.page(filter_, size=2)
    found += page.rows
    while page.older:
        page = insights.page(filter_, size=2, older_than=page.older)
        found += page.rows
    return found


CASES: list[tuple[Filter, list[str]]] = [
    (Filter(find=("S-1",)), ["first", "caused"]),  # a key of one, a ref of the other
    (Filter(find=("MSKU1",)), ["first", "second"]),  # refs without regard to case
    (Filter(find=("tghu2", "S-2")), ["first", "second"]),
    (Filter(find=("S-9",)), ["key and ref"]),  # once, though key and ref are the same
    (Filter(find=("case 4",)), ["blank"]),
    (Filter(find=("nobody",)), []),
    (Filter(find=("S-1", "S-2", "S-3", "S-9", "case 4")), ["first", "second", "caused", "key and ref", "blank"]),
    (Filter(find=("S-1",), names=("mailed",)), ["caused"]),
    (Filter(find=("MSKU1",), states=(State.FAILED,)), ["first", "second"]),
    (Filter(find=("MSKU1",), states=(State.UNROUTED,)), []),
    (Filter(find=("S-1",), states=(State.UNROUTED,)), ["caused"]),
    (Filter(error_text="100%"), ["second"]),
    (Filter(error_text="OF_IT"), ["second"]),
    (Filter(error_text="it\\ is"), ["second"]),
    (Filter(error_text="100"), ["first", "second"]),
    (Filter(range=Range.DAY, payload='{"n": 2}'), ["second"]),
    (Filter(range=Range.DAY, payload='{"deep": {"a": [2]}}'), ["first"]),
    (Filter(range=Range.DAY, payload='{"n": 2, "absent": 1}'), []),
    (Filter(find=("MSKU1",), payload='{"n": 1}'), ["first"]),
]


@pytest.mark.parametrize(
    ("filter_", "expected"), CASES, ids=lambda value: value.to_text() if isinstance(value, Filter) else ""
)
def test_list_count_chart_states_and_export_find_the_same(
    insights: Insights, dsn: str, said: dict[str, UUID], filter_: Filter, expected: list[str]
) -> None:
    found = rows(insights, filter_)
    assert Counter({row.message_id for row in found}) == Counter(said[name] for name in expected)
    assert [row.cursor for row in found] == sorted((row.cursor for row in found), key=_place, reverse=True)
    assert insights.count(filter_) == Count(len(found))
    assert insights.tally(filter_).messages == len(expected)
    assert insights.by_state(filter_) == Counter(row.state for row in found)
    series = insights.series(filter_)
    assert (series.messages, series.failures) == (len(expected), sum(row.state == "failed" for row in found))
    assert sum(group.count.value for group in insights.failure_groups(filter_).groups) == series.failures
    exported = csv.DictReader(io.StringIO(b"".join(stream(dsn, filter_)).decode()))
    assert [UUID(row["message_id"]) for row in exported] == [row.message_id for row in found]


def _place(cursor: Cursor) -> tuple[UUID, int]:
    return cursor.message_id, cursor.subscription_id


def test_ids_and_threads_are_found(insights: Insights, said: dict[str, UUID]) -> None:
    both = Filter(find=(str(said["second"]), str(said["caused"]).upper().replace("-", "")))
    assert {row.message_id for row in rows(insights, both)} == {said["second"], said["caused"]}
    thread = Filter(correlation=said["first"])
    assert {row.message_id for row in rows(insights, thread)} == {said["first"], said["caused"]}
    assert insights.series(thread).messages == 2


def test_a_thousand_pasted_values_are_one_filter(insights: Insights, said: dict[str, UUID]) -> None:
    filter_ = Filter(find=(*(f"absent-{n}" for n in range(998)), "S-2", "tghu2"))
    assert {row.message_id for row in rows(insights, filter_)} == {said["first"], said["second"]}


def test_payloads_are_not_looked_for_in_all_of_the_log(insights: Insights, dsn: str) -> None:
    wide = Filter(payload='{"n": 1}')
    year = wide.between(datetime.now(UTC) - timedelta(days=365), None)
    for filter_ in (wide, year, wide.between(None, datetime.now(UTC))):
        with pytest.raises(InvalidFilter, match="Narrow the time range"):
            insights.page(filter_)
        with pytest.raises(InvalidFilter):
            b"".join(stream(dsn, filter_))
    assert insights.page(wide.over(Range.MONTH)).rows == []
    assert not insights.outside(wide.over(Range.DAY)).older  # and it does not fail


def test_a_page_up_to_a_row_stays_while_newer_ones_are_counted(
    insights: Insights, by_hand: BusByHand, said: dict[str, UUID]
) -> None:
    before = insights.page(Filter(names=("bare",)))
    top = before.rows[0].cursor
    assert not insights.newer(Filter(names=("bare",)), top)
    for _ in range(3):
        by_hand.emit("bare")
    assert insights.page(Filter(names=("bare",)), up_to=top) == before
    assert insights.newer(Filter(names=("bare",)), top) == Count(3)
    by_hand.run("SELECT buslog.emit('bare', '{}') FROM generate_series(1, 100)")
    assert str(insights.newer(Filter(names=("bare",)), top)) == "100+"
    assert (
        insights.page(Filter(), size=3, up_to=rows(insights, Filter(names=("departed",)))[1].cursor).rows[0].name
        == "departed"
    )


def test_names_with_failures_are_known(insights: Insights, by_hand: BusByHand, said: dict[str, UUID]) -> None:
    while by_hand.run("SELECT buslog.fold_series(1000)") == [(True,)]:
        pass
    assert insights.names_failing() == {"departed"}
