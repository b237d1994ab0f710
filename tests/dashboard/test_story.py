"""The Message and the Key page, through app.py."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from buslog.config import settings
from buslog.console import words
from buslog.desk import Actor
from buslog.message import DeliveryRef
from buslog.notes import About, Notes
from buslog.operations import Operations
from buslog.reemission import Reemission
from tests.dashboard.conftest import Open, all_text, texts_of

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

    from tests.conftest import BusByHand

EVIL = "![x](http://evil.example/x.png) <img src=http://evil.example/y.png> **bold** <script>alert(1)</script>"
ANNA = Actor("local:anna", "dashboard")


def press(at: AppTest, label: str) -> None:
    next(button for button in at.button if button.label == label).click().run()


# ── message ─────────────────────────────────────────────────────────────────────


def test_a_message_says_why_it_has_not_run_and_leads_to_what_it_waits_for(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.run(
        """SELECT buslog.register('mail', ARRAY['departed'], 'event',
                                  '{"policy": {"max_attempts": 3}, "ordered_by_key": true}', NULL, '', 'test')"""
    )
    by_hand18._subscriptions[1] = "mail"
    first, second = (by_hand18.emit("departed", key="S-42") for _ in range(2))
    by_hand18.work(mail="failed")
    text = all_text(open_page("message", id=str(second)))
    assert "It waits behind another delivery of S-42 (departed)" in text
    assert "That one failed: it holds all behind it until somebody replays or cancels it." in text
    assert f"message?id={first}" in text
    assert 'href="key?key=S-42"' in text


def test_a_paused_subscriber_is_said_with_who_and_why(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.start_worker()
    message = by_hand18.emit("departed")
    Operations(by_hand18.dsn, ANNA).pause("mail", reason="the mail server is moved")
    text = all_text(open_page("message", id=str(message)))
    assert "Its subscriber is paused, since" in text
    assert "by local:anna: “the mail server is moved”" in text


def test_a_replayed_delivery_and_one_sent_again_wear_their_badges(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    message = by_hand18.emit("departed")
    by_hand18.work(mail="failed")
    for outcome in ("failed", "succeeded"):
        Operations(by_hand18.dsn, ANNA).replay([DeliveryRef(message, "mail")])
        by_hand18.work(mail=outcome)
    text = all_text(open_page("message", id=str(message)))
    assert "replayed ×2 · last ok" in text
    assert words.MESSAGE_SENT_AGAIN not in text
    Operations(by_hand18.dsn, ANNA).replay([DeliveryRef(message, "mail")], reason="the mail was lost")
    assert words.MESSAGE_SENT_AGAIN in all_text(open_page("message", id=str(message)))


def test_a_payload_is_sorted_and_exact_and_a_large_one_is_cut_with_its_file_beside_it(
    open_page: Open, by_hand18: BusByHand
) -> None:
    message = by_hand18.emit("departed", '{"zz": 1, "b": 12345678901234567890123.10, "aaa": {"d": 1, "c": 2}}')
    at = open_page("message", id=str(message))
    shown = at.code[-1].value
    assert shown.index('"aaa"') < shown.index('"b"') < shown.index('"zz"')
    assert "12345678901234567890123.10" in shown
    assert f"/payload.json?id={message}" in all_text(at)
    large = by_hand18.emit("departed", json.dumps({"text": "x" * 100_000}))
    at = open_page("message", id=str(large))
    assert "The first 64 kB of 100,0" in all_text(at)
    edit = next(button for button in at.button if button.label == words.EDIT)
    assert edit.disabled
    assert edit.help == words.EDIT_TOO_LARGE


def test_the_editor_shows_every_field_and_sends_nothing_that_is_not_changed(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.subscribe("mail", "departed")
    by_hand18.subscribe("task", "departed")
    old = by_hand18.emit("departed", '{"shipmentId": "S-42", "port": {"code": "X"}, "n": 12345678901234567890.0}')
    by_hand18.work(mail="failed")
    at = open_page("message", id=str(old))
    press(at, words.EDIT)
    fields = {box.label: box.value for box in at.text_input if box.label != words.RUN_REASON}  # of a replay
    assert fields == {"n": "12345678901234567890.0", "port\\.code": "X", "shipmentId": "S-42", words.REASON_LABEL: ""}
    send = at.button(key="edit.send")
    assert send.disabled
    assert send.help == words.EDIT_WHY_NOT["same"]
    assert "also those for whom this one succeeded: task." in all_text(at)


def test_an_edited_copy_leads_back_to_the_older_one(open_page: Open, by_hand18: BusByHand) -> None:
    old = by_hand18.emit("departed", '{"port": "X"}')
    new = Reemission(by_hand18.dsn, ANNA).emit_edited(old, '{"port": "Y"}', reason="wrong port")
    text = all_text(open_page("message", id=str(new)))
    assert "local:anna edited an older message and emitted it as this one: “wrong port”." in text
    assert f"message?id={old}" in text
    assert f"message?id={new}" in all_text(open_page("message", id=str(old)))


def test_a_ticket_is_there_to_be_copied(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe("mail", "departed")
    message = by_hand18.emit("departed", '{"shipmentId": "S-42", "iban": "DE02"}')
    by_hand18.work(mail="failed")
    at = open_page("message", id=str(message))
    (ticket,) = [code.value for code in at.code if "**Event `departed`**" in code.value]
    assert f"?id={message}" in ticket
    assert "CarrierTimeout: no answer within 5 s" in ticket
    assert "DE02" not in ticket


def test_a_note_is_written_once_and_shown_with_its_author(open_page: Open, by_hand18: BusByHand) -> None:
    message = by_hand18.emit("departed", key="S-42")
    at = open_page("message", id=str(message))
    at.text_area[-1].set_value("the customer\nwas called")
    add = next(button for button in at.button if button.label == words.NOTES_ADD)
    add.click().run()
    assert "the customer\nwas called" in all_text(at)
    assert by_hand18.run("SELECT about::text, subject, note FROM buslog.notes") == [
        ("message", str(message), "the customer\nwas called")
    ]
    press(at, words.NOTES_ADD)
    assert "has 1 to 2,000 characters" in all_text(at)
    assert by_hand18.run("SELECT count(*) FROM buslog.notes") == [(1,)]


def test_a_thread_tells_attempts_replays_and_who_pressed_what_beside_its_bars(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.subscribe("freight.emails:send", "departed")
    root = by_hand18.emit("booked")
    message = by_hand18.emit("departed", key="S-42", caused_by=root)
    by_hand18.work(**{"freight.emails:send": "failed"})
    Operations(by_hand18.dsn, ANNA).replay([DeliveryRef(message, "freight.emails:send")], reason="server is back")
    by_hand18.work()
    at = open_page("message", id=str(root))
    text = all_text(at)
    assert f"message?id={message}" in text
    assert "attempt 1 · CarrierTimeout: no answer within 5 s" in text
    assert "local:anna replayed emails:send at" in text
    assert "“server is back”" in text
    assert "freight.emails:send: failed; waited" in text
    assert "freight.emails:send: succeeded; waited" in text
    drawn = [float(width) for width in re.findall(r"width:([\d.]+)%", text)]
    assert drawn
    assert all(0 < width <= 100 for width in drawn)


def test_another_part_of_a_thread_is_looked_at_and_left_again(open_page: Open, by_hand18: BusByHand) -> None:
    root = by_hand18.emit("bulk")
    by_hand18.run("SELECT buslog.emit('b', '{}', causation_id => %s) FROM generate_series(1, 200)", root)
    text = all_text(open_page("message", id=str(root)))
    around = re.findall(rf"message\?id={root}&amp;around=([0-9a-f-]+)", text)
    assert around
    assert "141 more" in text
    elsewhere = all_text(open_page("message", id=str(root), around=around[0]))
    assert words.THREAD_ELSEWHERE in elsewhere
    assert f"message?id={around[0]}" in elsewhere


# ── key ─────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("by_hand18")
def test_the_key_page_without_a_key_asks_for_one(open_page: Open) -> None:
    text = all_text(open_page("key"))
    assert words.KEY_ASK in text


def test_the_story_of_a_key_is_told_in_the_order_of_time_with_what_is_wrong_now_on_top(
    open_page: Open, by_hand18: BusByHand
) -> None:
    by_hand18.subscribe("freight.emails:send", "departed")
    by_hand18.subscribe("freight.tasks:create", "departed")
    schema = json.dumps({"type": "object", "properties": {"shipmentId": {"type": "string"}}})
    by_hand18.subscribe("freight:resync", "resyncTracking", kind="command", schema=schema)
    by_hand18.subscribe("other", "otherCommand", kind="command", schema='{"type": "object", "properties": {"a": {}}}')
    message = by_hand18.emit("departed", key="S-42")
    by_hand18.work(**{"freight.emails:send": "failed"})
    Notes(by_hand18.dsn, ANNA).add(About.KEY, "S-42", "customer was called")
    Operations(by_hand18.dsn, ANNA).replay([DeliveryRef(message, "freight.emails:send")], reason="server is back")
    by_hand18.work(**{"freight.emails:send": "failed"})
    by_hand18.emit("arrived", key="S-42")
    by_hand18.emit("departed", key="S-43")
    at = open_page("key", key="S-42")
    assert not at.exception
    text = all_text(at)
    assert "Now: 1 failed" in text
    story = texts_of(at, "html")
    (line,) = [html for html in story if "customer was called" in html and "CarrierTimeout" in html]
    told = [line.index(word) for word in (">departed</a>", "attempt 1 raised", "customer was called", "replayed",
                                          "after a replay", ">arrived</a>")]  # fmt: skip
    assert told == sorted(told)
    assert "tasks:create" in line
    links = [link.proto.page for link in at.get("page_link") if link.proto.page == "commands"]
    assert len(links) == 1


def test_a_long_story_is_told_in_pages_and_its_end_is_one_click_away(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.run("SELECT buslog.emit('m' || n, '{}', 'S-42') FROM generate_series(1, 250) AS n")
    at = open_page("key", key="S-42")
    text = all_text(at)
    assert ">m1</a>" in text
    assert ">m101</a>" not in text
    assert "250 messages in all" in text
    at.button(key="newest.above").click().run()
    text = all_text(at)
    assert ">m250</a>" in text
    assert ">m150</a>" not in text
    assert at.button(key="newest.above").disabled
    at.button(key="older.above").click().run()
    assert ">m150</a>" in all_text(at)


def test_an_unknown_key_is_answered_with_keys_like_it(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.emit("departed", key="S-42")
    at = open_page("key")
    at.text_input(key="key.search").set_value(" S-24 ").run()
    assert at.query_params == {"key": "S-24"}
    assert words.KEY_UNKNOWN.format(field="shipmentId") in all_text(at)
    press(at, "S\\-42")
    assert at.query_params == {"key": "S-42"}
    assert ">departed</a>" in all_text(at)


def test_nothing_like_an_unknown_key_is_said_too(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.emit("departed", key="S-42")
    assert words.KEY_NOTHING_LIKE in all_text(open_page("key", key="qqqqqqq"))


@pytest.mark.parametrize("params", [{"after": "42"}, {"before": "x"}])
def test_a_place_in_a_story_that_is_none_is_refused_in_words(open_page: Open, params: dict[str, str]) -> None:
    at = open_page("key", key="S-42", **params)
    assert not at.exception
    assert "cannot be looked for" in all_text(at)


def test_a_key_leads_to_a_system_of_yours_escaped(
    open_page: Open, by_hand18: BusByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = 'S/4 2"><script>'
    message = by_hand18.emit("departed", key=key)
    assert "erp.example" not in all_text(open_page("key", key=key))
    monkeypatch.setenv("BUSLOG_KEY_URL", "https://erp.example/s/{key}")
    settings.cache_clear()
    try:
        for page, params in (("key", {"key": key}), ("message", {"id": str(message)})):
            html = "".join(texts_of(open_page(page, **params), "html"))
            assert 'href="https://erp.example/s/S%2F4%202%22%3E%3Cscript%3E"' in html
            assert "<script>" not in html
    finally:
        settings.cache_clear()


def test_names_keys_notes_and_errors_are_shown_as_they_are_on_both_pages(open_page: Open, by_hand18: BusByHand) -> None:
    by_hand18.subscribe(EVIL, EVIL)
    message = by_hand18.emit(EVIL, json.dumps({EVIL: EVIL}), key=EVIL)
    by_hand18.work(**{EVIL: "failed"})
    by_hand18.run("UPDATE buslog.ended_deliveries SET error = %s, error_type = %s", EVIL, EVIL)
    by_hand18.run("UPDATE buslog.attempts SET error = %s, error_type = %s", EVIL, EVIL)
    evil = Actor(f"local:{EVIL}", "dashboard")
    Notes(by_hand18.dsn, evil).add(About.KEY, EVIL, EVIL)
    Notes(by_hand18.dsn, evil).add(About.MESSAGE, str(message), EVIL)
    Operations(by_hand18.dsn, evil).replay([DeliveryRef(message, EVIL)], reason=EVIL)
    for page, params in (("key", {"key": EVIL}), ("message", {"id": str(message)}), ("key", {"key": EVIL + "!"})):
        at = open_page(page, **params)
        assert not at.exception
        assert "our fault" not in all_text(at)
        labels = [button.label for button in at.button] + [link.proto.label for link in at.get("page_link")]
        read_as_markup = texts_of(at, "markdown", "subheader", "title") + labels
        unescaped = [re.sub(r"\\.", "", text) for text in read_as_markup]
        assert not [text for text in unescaped if "[x](" in text or "<img" in text or "**bold" in text]
        assert not [text for text in texts_of(at, "html") if "<img" in text or "<script" in text]
    press(open_page("message", id=str(message)), words.EDIT)


def test_a_database_that_is_down_is_named_on_the_key_page(open_page_of_nothing: Open) -> None:
    at = open_page_of_nothing("key", key="S-42")
    assert not at.exception
    assert "The database did not answer" in all_text(at)
    assert words.KEY_WELL not in all_text(at)
