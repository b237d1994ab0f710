"""Saved views: named filters of one's own and of the team, and nameless ones."""

from __future__ import annotations

import uuid

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.errors import NotFound, OperationRefused
from buslog.filter import Filter, Range
from buslog.insights import Insights
from buslog.message import State
from buslog.views import Views

FAILED = Filter(states=(State.FAILED,), range=Range.WEEK)


@pytest.fixture
def anna(dsn: str) -> Views:
    return Views(dsn, Actor("local:anna", "dashboard"))


@pytest.fixture
def ben(dsn: str) -> Views:
    return Views(dsn, Actor("local:ben", "dashboard"))


def test_a_view_is_saved_listed_to_whom_it_is_for_and_audited(
    insights: Insights, anna: Views, ben: Views, connection: db.Connection
) -> None:
    mine = anna.save(" Carrier down ", FAILED)
    ours = anna.save("Everything", Filter(), is_shared=True)
    theirs = ben.save("Carrier down", Filter(key="S-1"))
    assert [(v.name, v.filter) for v in insights.views("local:anna")] == [
        ("Carrier down", FAILED),
        ("Everything", Filter()),
    ]
    assert [v.id for v in insights.views("local:ben")] == [theirs, ours]
    assert insights.view(mine).filter == FAILED  # a link to it works for everybody
    audited = connection.execute("SELECT actor, verb, outcome ->> 'name' FROM buslog.operations ORDER BY id").fetchall()
    names = (("local:anna", "Carrier down"), ("local:anna", "Everything"), ("local:ben", "Carrier down"))
    assert audited == [(who, "save view", name) for who, name in names]


def test_the_same_name_is_saved_anew(insights: Insights, anna: Views) -> None:
    first = anna.save("Mine", FAILED)
    assert anna.save("Mine", Filter(key="S-1"), is_shared=True) == first
    (view,) = insights.views("local:anna")
    assert (view.filter, view.is_shared) == (Filter(key="S-1"), True)


def test_a_view_is_renamed_and_deleted_by_whose_it_is(insights: Insights, anna: Views, ben: Views) -> None:
    view, other = anna.save("Mine", FAILED, is_shared=True), anna.save("Other", FAILED)
    with pytest.raises(OperationRefused, match="saved by local:anna"):
        ben.rename(view, "Ours")
    with pytest.raises(OperationRefused, match="saved by local:anna"):
        ben.delete(view)
    with pytest.raises(OperationRefused, match="another name"):
        anna.rename(view, "Other")
    anna.rename(view, "Ours")
    anna.rename(view, "Ours")
    anna.delete(other)
    assert [v.name for v in insights.views("local:anna")] == ["Ours"]
    with pytest.raises(NotFound):
        anna.rename(other, "x")
    with pytest.raises(NotFound):
        anna.delete(uuid.uuid4())
    with pytest.raises(NotFound):
        insights.view(other)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00b", "a\nb"])
def test_a_name_that_nobody_could_read_is_refused(anna: Views, name: str) -> None:
    with pytest.raises(OperationRefused, match="printable"):
        anna.save(name, FAILED)


def test_a_filter_too_long_for_an_address_is_kept_once_and_in_nobodys_list(
    insights: Insights, anna: Views, ben: Views, connection: db.Connection
) -> None:
    long = Filter(find=tuple(f"SHIPMENT-{n:>08}" for n in range(1000)))
    kept = anna.keep(long)
    assert ben.keep(long) == kept
    assert insights.view(kept).filter == long
    assert insights.views("local:anna") == []
    assert connection.execute("SELECT count(*) FROM buslog.operations").fetchone() == (0,)
    with pytest.raises(NotFound):
        anna.delete(kept)


def test_a_nameless_view_is_forgotten_a_quarter_after_its_last_use(anna: Views, connection: db.Connection) -> None:
    old, used, named = anna.keep(FAILED), anna.keep(Filter(key="S-1")), anna.save("Named", FAILED)
    connection.execute("UPDATE buslog.saved_views SET saved_at = now() - interval '100 days'")
    anna.keep(Filter(key="S-1"))
    connection.execute(db.query("forget_views"))
    left = {row[0] for row in connection.execute("SELECT id FROM buslog.saved_views")}
    assert left == {used, named}
    assert old not in left
