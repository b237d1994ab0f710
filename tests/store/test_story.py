"""Threads and keys: what is shown of many messages, and that what is left out is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from buslog import db
from buslog.desk import Actor
from buslog.insights import Insights, Thread
from buslog.insights.keys import LAST, _spellings
from buslog.message import DeliveryRef, State
from buslog.operations import Operations
from buslog.reemission import Reemission

if TYPE_CHECKING:
    from tests.conftest import BusByHand

ANNA = Actor("local:anna", "dashboard")


def emit_many(bus: BusByHand, number: int, cause: UUID) -> list[UUID]:
    with db.connect(bus.dsn) as connection:
        rows = connection.execute(
            "SELECT buslog.emit('b', '{}', causation_id => %s) FROM generate_series(1, %s)", (cause, number)
        ).fetchall()
    return sorted(row[0] for row in rows)


def in_short(thread: Thread) -> list[Any]:
    return [(line.message.name if line.message else line.left_out, line.depth) for line in thread.lines]


# ── threads ─────────────────────────────────────────────────────────────────────


def test_a_thread_is_a_tree_in_the_order_of_causes_with_what_became_of_it(
    insights: Insights, by_hand: BusByHand
) -> None:
    by_hand.subscribe("mail", "b")
    root = by_hand.emit("a")
    first = by_hand.emit("b", caused_by=root)
    by_hand.emit("c", caused_by=root)
    by_hand.emit("d", caused_by=first)
    by_hand.work(mail="failed")
    Operations(by_hand.dsn, ANNA).replay([DeliveryRef(first, "mail")], reason="try again")
    edited = Reemission(by_hand.dsn, ANNA).emit_edited(first, '{"a": 1}')
    thread = insights.thread(root, first)
    assert in_short(thread) == [("a", 0), ("b", 1), ("d", 2), ("b", 2), ("c", 1)]
    assert thread.is_whole
    assert thread.states == {State.UNROUTED: 3, State.PENDING: 2}
    story = thread.stories[first]
    assert [(run.generation, run.state, run.is_latest) for run in story.runs] == [
        (1, State.FAILED, False), (2, State.PENDING, True),
    ]  # fmt: skip
    assert [raised.error_type for raised in story.raised_of(story.runs[0])] == ["CarrierTimeout"]
    assert [(done.actor, done.verb, done.reason, done.made) for done in story.done] == [
        ("local:anna", "replay", "try again", None), ("local:anna", "emit edited", None, edited),
    ]  # fmt: skip


def test_of_a_wide_thread_the_nearest_are_shown_and_all_others_counted(insights: Insights, by_hand: BusByHand) -> None:
    root = by_hand.emit("a")
    children = emit_many(by_hand, 500, root)
    grandchildren = emit_many(by_hand, 30, children[250])
    thread = insights.thread(root, children[250])
    shown = [line.message.id for line in thread.lines if line.message]
    assert {root, children[250], *children[246:267], *grandchildren} <= set(shown)
    assert len(shown) <= 60
    assert len(shown) + sum(line.left_out for line in thread.lines) == thread.messages.value == 531
    assert not thread.is_whole
    gap = next(line for line in thread.lines if line.left_out)
    assert gap.states == {State.UNROUTED: gap.left_out}
    assert gap.around is not None
    assert gap.around in {line.message.id for line in insights.thread(root, gap.around).lines if line.message}


def test_a_deep_thread_shows_its_root_the_nearest_causes_and_counts_what_is_between(
    insights: Insights, by_hand: BusByHand
) -> None:
    chain = [by_hand.emit("a")]
    for _ in range(99):
        chain += emit_many(by_hand, 1, chain[-1])
    beside = emit_many(by_hand, 7, chain[20])
    thread = insights.thread(chain[0], chain[-1])
    shown = [line.message.id for line in thread.lines if line.message]
    assert shown == [chain[0], *chain[-13:]]
    assert [line.left_out for line in thread.lines if line.left_out] == [100 - 14 + len(beside)]
    assert thread.lines[-1].depth == 99
    from_the_root = insights.thread(chain[0], chain[0])
    assert {line.message.id for line in from_the_root.lines if line.message} == {*chain[:53], *beside}


def test_a_cap_says_so_and_the_message_that_was_asked_for_is_there(
    insights: Insights, by_hand: BusByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buslog.insights.thread.READ", 100)
    root = by_hand.emit("a")
    last = emit_many(by_hand, 200, root)[-1]
    thread = insights.thread(root, last)
    assert str(thread.messages) == "100+"
    assert last in {line.message.id for line in thread.lines if line.message}
    assert not thread.is_whole


def test_what_waits_for_somebody_is_found_however_far_it_is(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.subscribe("mail", "broken")
    root = by_hand.emit("a")
    children = emit_many(by_hand, 300, root)
    broken = by_hand.emit("broken", caused_by=children[-1])
    by_hand.work(mail="failed")
    thread = insights.thread(root, root)
    assert broken not in {line.message.id for line in thread.lines if line.message}
    assert [message.id for message in thread.troubles] == [broken]
    assert sum((line.states or {}).get(State.FAILED, 0) for line in thread.lines) == 1


# ── keys ────────────────────────────────────────────────────────────────────────


def test_a_key_is_told_oldest_first_in_pages_that_leave_nothing_out(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.run("SELECT buslog.emit('a', '{}', 'S-42') FROM generate_series(1, 250)")
    by_hand.emit("a", key="S-43")
    page = insights.key_page("S-42")
    assert (page.has_older, page.has_newer) == (False, True)
    ids = [message.id for message in page.messages]
    while page.has_newer:
        page = insights.key_page("S-42", after=page.messages[-1].id)
        ids += [message.id for message in page.messages]
    assert len(ids) == 250
    assert ids == sorted(set(ids))
    newest = insights.key_page("S-42", before=LAST)
    assert [message.id for message in newest.messages] == ids[-100:]
    assert (newest.has_older, newest.has_newer) == (True, False)
    before = insights.key_page("S-42", before=newest.messages[0].id)
    assert [message.id for message in before.messages] == ids[50:150]
    assert (before.has_older, before.has_newer) == (True, True)


def test_what_of_a_key_failed_or_waits_now_is_listed_failed_first_with_its_reasons(
    insights: Insights, by_hand: BusByHand
) -> None:
    by_hand.subscribe("mail", "a", "b")
    by_hand.subscribe("task", "a")
    first = by_hand.emit("a", key="S-42")
    by_hand.work(mail="failed")
    second = by_hand.emit("b", key="S-42")
    by_hand.emit("b", key="S-43")
    now = insights.key_now("S-42")
    assert now.states == {State.FAILED: 1, State.PENDING: 1}
    failed, waiting = now.listed
    assert (failed.delivery, failed.name, failed.error_type) == (DeliveryRef(first, "mail"), "a", "CarrierTimeout")
    assert (waiting.delivery, waiting.name) == (DeliveryRef(second, "mail"), "b")
    assert waiting.causes
    assert insights.key_now("absent").listed == []


@pytest.mark.parametrize("typed", ["S-24", "s-42", "S42", "S-4", "S-422", " S-42 ", "S-47"])
def test_a_slip_of_the_fingers_finds_the_key(insights: Insights, by_hand: BusByHand, typed: str) -> None:
    for key in ("S-42", "A-1", "Z-900", "case-12"):
        by_hand.emit("a", key=key)
    by_hand.emit("without")
    assert insights.near_keys(typed)[0] == "S-42"
    assert "S-42" in set(_spellings(typed))  # where a thousand other keys lie between the two in the alphabet


def test_a_key_like_no_other_finds_nothing(insights: Insights, by_hand: BusByHand) -> None:
    by_hand.emit("a", key="S-42")
    assert insights.near_keys("qqqqqqqq") == []
    assert insights.near_keys("x" * 200) == []
