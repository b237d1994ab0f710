"""Acting on many, and the page of the runs, by AppTest: what is said, what is asked for, what happens once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from buslog.console import access, words
from buslog.desk import Actor
from buslog.errors import RoleTooLow
from buslog.filter import Filter
from buslog.insights import Insights
from buslog.message import State
from buslog.replays import Replays, Run, RunState, Verb
from tests.dashboard.conftest import Open, all_text, column_of, texts_of

if TYPE_CHECKING:
    from tests.conftest import BusByHand

FAILED = Filter(states=(State.FAILED,))


def fail(bus: BusByHand, number: int = 1, *, key: str = "S") -> None:
    bus.subscribe("mail.notify", "departed")
    for place in range(number):
        bus.emit("departed", key=f"{key}-{place}")
    bus.work(**{"mail.notify": "failed"})


def replays_of(bus: BusByHand) -> Replays:
    return Replays(bus.dsn, Actor("local:other", "cli"))


def started(bus: BusByHand, *, canary: int = 0, undo: float = 0, verb: Verb = Verb.REPLAY) -> Run:
    replays = replays_of(bus)
    return replays.start(replays.preview(FAILED, verb).run, canary=canary, undo=undo, reason="the carrier is back")


def carry_on(bus: BusByHand, steps: int = 1) -> None:
    for _ in range(steps):
        bus.run("UPDATE buslog.replays SET next_at = clock_timestamp() WHERE next_at IS NOT NULL")
        bus.run("SELECT buslog.carry_on(1000)")


def button(at: AppTest, label: str) -> Button:
    """The one whose label begins so."""
    found = [each for each in at.button if each.label.startswith(label)]
    assert found, [each.label for each in at.button]
    return found[0]


def ask_for_all(at: AppTest, label: str) -> AppTest:
    at.session_state["many.all"] = True
    at.run()
    at = button(at, label).click().run()
    assert not at.exception
    return at


def runs(bus: BusByHand) -> list[tuple[str, str | None, int]]:
    return bus.run("SELECT verb::text, reason, waiting FROM buslog.replays WHERE state <> 'previewed' ORDER BY id")


# ── the second step ─────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", ["failures", "log"])
def test_all_that_match_is_a_second_step_and_its_buttons_say_verb_count_and_scope(
    open_page: Open, by_hand18: BusByHand, page: str
) -> None:
    fail(by_hand18, 3)
    at = open_page(page, key="S-1")
    assert not [each.label for each in at.button if " all " in each.label]
    at.session_state["many.all"] = True
    at.run()
    labels = {each.label: each for each in at.button}
    scope = "that failed" if page == "failures" else "that are open or have failed"
    assert {"Replay all 1 that failed…", f"Cancel all 1 {scope}…"} <= set(labels)
    assert labels["Run now all"].disabled
    assert "none that is retrying or scheduled" in (labels["Run now all"].help or "")


def test_a_preview_shows_what_is_left_out_superseded_and_caused_before_anything_is_sent(
    open_page: Open, by_hand18: BusByHand
) -> None:
    fail(by_hand18, 3)
    by_hand18.run("SELECT buslog.emit('mailed', '{}', causation_id => id) FROM buslog.messages WHERE key = 'S-0'")
    by_hand18.emit("departed", key="S-2")
    by_hand18.work()
    by_hand18.subscribe("invoice.make", "ordered")
    by_hand18.run(
        "UPDATE buslog.subscriptions SET unsafe_to_replay = 'it charges twice' WHERE subscription = 'invoice.make'"
    )
    by_hand18.emit("ordered", key="S-9")
    by_hand18.work(**{"invoice.make": "failed"})
    text = all_text(ask_for_all(open_page("failures"), "Replay all 4 that failed"))
    for told in ("it charges twice", "one by one", "1 superseded", "shipmentId has succeeded", "1 × mailed (event)",
                 "departed S-2", "Oldest message (UTC)", "buslog runs start"):  # fmt: skip
        assert told in text
    assert runs(by_hand18) == []


# ── the dialog ──────────────────────────────────────────────────────────────────


def test_more_than_a_hundred_want_their_number_typed(open_page: Open, by_hand18: BusByHand) -> None:
    fail(by_hand18, 101)
    at = ask_for_all(open_page("failures"), "Replay all 101 that failed")
    button(at, "Replay 101 deliveries").click().run()
    assert "The number is to be typed as it stands: 101" in "\n".join(texts_of(at, "text"))
    assert runs(by_hand18) == []
    (typed,) = [field for field in at.text_input if field.label == "Type 101 to confirm"]
    typed.set_value("101")
    button(at, "Replay 101 deliveries").click().run()
    assert not at.exception
    assert runs(by_hand18) == [("replay", None, 101)]
    assert "Replay · 101 deliveries" in all_text(at)


def test_a_cancel_of_many_wants_a_reason(open_page: Open, by_hand18: BusByHand) -> None:
    fail(by_hand18, 2)
    at = ask_for_all(open_page("failures"), "Cancel all 2")
    button(at, "Cancel 2 deliveries").click().run()
    assert "Reason is required" in "\n".join(texts_of(at, "text"))
    assert runs(by_hand18) == []
    next(field for field in at.text_input if field.label == "Reason").set_value("nobody mends them")
    button(at, "Cancel 2 deliveries").click().run()
    assert runs(by_hand18) == [("cancel", "nobody mends them", 2)]
    carry_on(by_hand18)
    by_hand18.run("UPDATE buslog.replays SET next_at = clock_timestamp()")
    assert by_hand18.run("SELECT DISTINCT state FROM buslog.log") == [("cancelled",)]


def test_what_succeeded_is_sent_again_only_with_a_tick_and_a_reason_and_is_marked_so(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.subscribe("mail.notify", "departed")
    message = by_hand18.emit("departed", key="S-1")
    by_hand18.work()
    at = open_page("log", state="succeeded")
    assert "sent again" not in column_of(at, "State")[0]
    at = ask_for_all(at, "Replay all 1 that have succeeded")
    next(field for field in at.text_input if field.label == "Reason").set_value("the mail was lost")
    button(at, "Replay 1 delivery").click().run()
    assert "is to be ticked" in "\n".join(texts_of(at, "text"))
    assert runs(by_hand18) == []
    next(box for box in at.checkbox if "has succeeded" in box.label).check()
    button(at, "Replay 1 delivery").click().run()
    assert runs(by_hand18) == [("replay", "the mail was lost", 1)]
    carry_on(by_hand18)
    by_hand18.work()
    assert "sent again" in column_of(open_page("log"), "State")[0]
    assert words.MESSAGE_SENT_AGAIN in all_text(open_page("message", id=str(message)))


def test_a_dialog_that_is_left_sends_nothing_and_is_not_met_on_another_page(
    open_page: Open, by_hand18: BusByHand
) -> None:
    fail(by_hand18)
    at = ask_for_all(open_page("failures"), "Replay all 1 that failed")
    button(at, "Leave it").click().run()
    assert "Replay 1 delivery" not in [each.label for each in at.button]
    at = ask_for_all(at, "Replay all 1 that failed")
    at.switch_page("pages/log.py").run()
    assert "Replay 1 delivery" not in [each.label for each in at.button]
    assert runs(by_hand18) == []


def test_selected_rows_take_the_same_road(open_page: Open, by_hand18: BusByHand) -> None:
    fail(by_hand18, 3)
    at = open_page("failures", show="deliveries")
    assert button(at, "Replay selected").disabled
    assert "boxes at their left" in (button(at, "Replay selected").help or "")
    insights = Insights(by_hand18.dsn)
    rows = insights.page(FAILED).rows
    insights.close()
    key = f"failures.{rows[0].cursor}.{rows[-1].cursor}.{len(rows)}"
    at.session_state[key] = {"selection": {"rows": [0, 2], "columns": [], "cells": []}}
    at.run()
    at = button(at, "Replay 2 deliveries…").click().run()
    assert "picked by hand from: failed" in all_text(at)
    next(each for each in at.button if each.label == "Replay 2 deliveries").click().run()
    assert runs(by_hand18) == [("replay", None, 2)]


# ── one delivery ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_a_single_one_that_succeeded_or_is_unsafe_is_asked_for_twice(
    open_page: Open, by_hand18: BusByHand, state: str
) -> None:
    by_hand18.subscribe("mail.notify", "departed")
    if state == "failed":
        by_hand18.run("UPDATE buslog.subscriptions SET unsafe_to_replay = 'it charges twice'")
    message = by_hand18.emit("departed")
    by_hand18.work(**{"mail.notify": state})
    at = open_page("message", id=str(message))
    told = "It has succeeded" if state == "succeeded" else "unsafe to replay: “it charges twice”"
    assert told in all_text(at)
    button(at, "Send it again").click().run()
    assert "Reason is required" in all_text(at)
    next(field for field in at.text_input if field.label == "Reason").set_value("the mail was lost")
    button(at, "Send it again").click().run()
    assert "is to be ticked" in all_text(at)
    assert by_hand18.run("SELECT count(*) FROM buslog.deliveries") == [(0,)]
    next(box for box in at.checkbox if "have read" in box.label).check()
    button(at, "Send it again").click().run()
    assert not at.exception
    assert by_hand18.run("SELECT verb, reason FROM buslog.operations WHERE verb <> 'log in'") == [
        ("replay", "the mail was lost")
    ]
    assert [toast.value for toast in at.toast] == ["1 delivery waits to run again."], "it is not replayed yet"


def test_a_viewer_sees_the_buttons_and_why_they_are_not_for_them(
    open_page: Open, by_hand18: BusByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(by_hand18)
    run = started(by_hand18, undo=60)
    monkeypatch.setattr(access, "who", lambda: Actor("anna@example.com", "dashboard"))
    at = open_page("failures", show="deliveries")
    at.session_state["many.all"] = True
    at.run()
    for label in ("Replay selected", "Replay all 1", "Cancel all 1"):
        assert button(at, label).disabled
        assert "operator" in (button(at, label).help or "")
    at = open_page("replays", run=str(run.id))
    assert button(at, "Undo").disabled
    with pytest.raises(RoleTooLow):
        access.replays().stop(run.id)
    with pytest.raises(RoleTooLow):
        access.replays().preview(FAILED)


# ── the page ────────────────────────────────────────────────────────────────────


def test_without_a_run_the_page_says_so(open_page: Open) -> None:
    text = all_text(open_page("replays"))
    assert "Nothing was replayed, run or cancelled in bulk yet." in text
    assert "No older runs" not in text


def test_the_runs_are_listed_with_who_why_what_and_how_far_by_pages(open_page: Open, by_hand18: BusByHand) -> None:
    fail(by_hand18, 2)
    for _ in range(21):
        started(by_hand18)
    at = open_page("replays")
    text = all_text(at)
    assert "local:other" in text
    assert "the carrier is back" in text
    links = [str(link.proto.label) for link in at.get("page_link")]
    assert [link for link in links if link.startswith("Run 21 · Replay · 2 deliveries")]
    assert not [link for link in links if link.startswith("Run 1 ·")]
    assert "Older" in links
    links = [str(link.proto.label) for link in open_page("replays", before="2").get("page_link")]
    assert [link for link in links if link.startswith("Run 1 ·")]
    assert "No older runs." in all_text(open_page("replays", before="1"))


def test_a_run_can_be_undone_before_anything_of_it_is_sent(open_page: Open, by_hand18: BusByHand) -> None:
    fail(by_hand18, 3)
    run = started(by_hand18, undo=60)
    at = open_page("replays", run=str(run.id))
    assert "Until then all of it can be undone." in all_text(at)
    button(at, "Undo").click().run()
    assert "Undone before anything was sent." in all_text(at)
    assert replays_of(by_hand18).run(run.id).state is RunState.STOPPED
    assert by_hand18.run("SELECT count(*) FROM buslog.deliveries") == [(0,)]


def test_a_run_under_way_is_stopped_with_a_reason_after_a_question(open_page: Open, by_hand18: BusByHand) -> None:
    fail(by_hand18, 3)
    run = started(by_hand18, canary=1)
    carry_on(by_hand18)
    at = open_page("replays", run=str(run.id))
    assert "Tried first: 1." in all_text(at)
    at = button(at, "Stop…").click().run()
    assert "What was sent already goes on." in all_text(at)
    assert replays_of(by_hand18).run(run.id).state is RunState.CANARY
    next(field for field in at.text_input if field.label.startswith("Reason")).set_value("wrong filter")
    button(at, "Stop the run").click().run()
    assert replays_of(by_hand18).run(run.id).state is RunState.STOPPED
    assert by_hand18.run("SELECT reason FROM buslog.operations WHERE verb = 'stop'") == [("wrong filter",)]
    at = open_page("replays", run=str(run.id))
    text = all_text(at)
    assert "2 not sent: they stand where they stood" in text
    assert "■ not sent 2" in text
    assert "waiting" not in text, "nothing of it is going to be sent"
    assert sorted(column_of(at, "Now")) == ["■ not sent", "■ not sent", "▶ sent"]


def test_what_a_stopped_run_did_not_send_is_sent_by_a_run_of_its_own(open_page: Open, by_hand18: BusByHand) -> None:
    fail(by_hand18, 4)
    run = started(by_hand18, canary=1)
    carry_on(by_hand18)
    replays_of(by_hand18).stop(run.id)
    at = open_page("replays", run=str(run.id))
    at = button(at, "Replay the 3 not sent…").click().run()
    next(each for each in at.button if each.label == "Replay 3 deliveries").click().run()
    rest = replays_of(by_hand18).runs()[0]
    assert (rest.rest_of, rest.deliveries) == (run.id, 3)
    links = open_page("replays", run=str(rest.id)).get("page_link")
    assert f"what run {run.id} did not send" in [link.proto.label for link in links]


def test_what_failed_again_is_counted_and_replayed_from_the_runs_own_page(
    open_page: Open, by_hand18: BusByHand
) -> None:
    fail(by_hand18, 4)
    run = started(by_hand18, canary=1)
    carry_on(by_hand18)
    by_hand18.work()
    carry_on(by_hand18, 2)
    by_hand18.work(**{"mail.notify": "failed"})
    carry_on(by_hand18, 2)
    at = open_page("replays", run=str(run.id), items="failed again")
    assert len(column_of(at, "Now")) == 3
    assert {metric.label: metric.value for metric in at.metric} == {
        "Failed before": "4", "Fail now": "3", "Settled": "4", "Left out": "0",
    }  # fmt: skip
    at = button(at, "Replay the 3 that failed again").click().run()
    next(each for each in at.button if each.label == "Replay 3 deliveries").click().run()
    assert [(verb, waiting) for verb, _, waiting in runs(by_hand18)] == [("replay", 0), ("replay", 3)]
    assert f"what failed again in run {run.id}" in str([link.proto.label for link in at.get("page_link")])


def test_the_items_of_a_run_come_by_pages(open_page: Open, by_hand18: BusByHand) -> None:
    fail(by_hand18, 120)
    run = started(by_hand18, undo=60)
    seen: list[str] = []
    after: dict[str, str] = {}
    for _ in range(3):
        at = open_page("replays", run=str(run.id), **after)
        seen += column_of(at, "shipmentId")
        last = replays_of(by_hand18).items(run.id, places=len(seen))[-1]
        after = {"after": f"{last.message_id}~{last.subscription}"}
    assert seen == [f"S-{number}" for number in range(120)]


@pytest.mark.parametrize(
    "params",
    [{"run": "nope"}, {"run": "-1"}, {"run": "9" * 30}, {"run": "999"}, {"before": "x"}, {"run": "1", "items": "lost"},
     {"run": "1", "after": "x"}, {"run": "1", "after": "%00~"}],
)  # fmt: skip
def test_nonsense_in_the_address_of_a_run_is_answered_in_words(
    open_page: Open, by_hand18: BusByHand, params: dict[str, str]
) -> None:
    fail(by_hand18)
    started(by_hand18)
    at = open_page("replays", **params)
    assert not at.exception
    assert any(title in all_text(at) for title in ("cannot be looked for", "There is no such"))


def test_a_database_that_is_down_is_not_an_empty_list(open_page_of_nothing: Open) -> None:
    text = all_text(open_page_of_nothing("replays"))
    assert "The database did not answer" in text
    assert "Nothing was replayed" not in text
